"""Each command's help ends with examples, and each of them is one that the command takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from streams.cli import COMMANDS, cli
from streams.cli.examples import EXAMPLES

OURS = re.compile(r"(?:^|\$\()(?:[A-Z_]+=\S+ )*headrace ([^|<>)]+)")


def commands() -> Iterator[tuple[str, click.Command]]:
    """(path, command) of every command and every part of one."""
    waiting = [(name, cli.get_command(click.Context(cli), name)) for name in COMMANDS]
    while waiting:
        path, command = waiting.pop(0)
        assert command is not None
        yield path, command
        if isinstance(command, click.Group):
            waiting += [(f"{path} {name}", part) for name, part in command.commands.items()]


LINES = [(path, line) for path, lines in EXAMPLES.items() for line in lines]


def test_every_command_has_examples_and_no_other_has() -> None:
    assert {path for path, _ in commands()} == set(EXAMPLES)


@pytest.mark.parametrize("path", sorted(EXAMPLES))
def test_the_help_ends_with_them(path: str) -> None:
    said = CliRunner().invoke(cli, [*path.split(), "--help"]).output
    assert said.rstrip().endswith("\n    ".join(["  Examples:", *EXAMPLES[path]]))


@pytest.mark.parametrize(("path", "line"), LINES, ids=[line for _, line in LINES])
def test_an_example_is_taken_by_its_command(
    path: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = OURS.search(line)
    assert found is not None, f"{line}: not of ours"
    words = shlex.split(found[1])
    monkeypatch.chdir(tmp_path)
    for word in map(Path, words):  # what the example takes for there
        word.parent.mkdir(parents=True, exist_ok=True)
        word.touch() if word.suffix else word.mkdir(exist_ok=True)
    command: click.Command = cli
    context, taken = click.Context(cli), []
    while isinstance(command, click.Group) and words and words[0] in command.list_commands(context):
        taken.append(words.pop(0))
        part = command.get_command(context, taken[-1])
        assert part is not None
        command = part
    assert " ".join(taken).startswith(path)  # the help of a group shows what its parts do
    with command.make_context(path, words):  # raises a UsageError for an option or a value that it does not take
        pass
