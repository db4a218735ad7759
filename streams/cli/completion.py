"""`headrace completion`: what a shell needs to complete our commands, options, files and topics."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that completes `headrace` in your shell, for bash 4.4 and newer, zsh and fish."""
    from click.shell_completion import get_completion_class

    from streams.cli import cli

    found = get_completion_class(shell)
    assert found is not None  # the choices are click's own
    click.echo(found(cli, {}, "headrace", "_HEADRACE_COMPLETE").source())


def topics(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The topics of the registry, for an argument that takes one."""
    from schemas.topics import TOPICS

    return [name for name in TOPICS if name.startswith(incomplete)]
