"""`headrace`: one door for every command.

The idea: a table of names, modules and help lines, and nothing else at import. `headrace --help` reads the table
alone; a command's module is imported when the command runs, and exposes `command`. The price: a help line lives here,
not beside its command, and a test holds the two together.

A command returns its exit code: 0 (or None) what it says holds, 1 it does not, 2 it could not run. What a user can mend
(a setting, a broker that is away) is told in one line; only our own mistakes show a traceback.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

HELP = {"-h", "--help"}
HOLDS, DOES_NOT, COULD_NOT_RUN = 0, 1, 2
INTERRUPTED, PIPE_CLOSED = 130, 141  # what a shell reports of SIGINT and SIGPIPE

# In the order of the help page: to run, to feed and to read, to look after, to learn.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "A live shop, scored as you watch; nothing else is needed."),
    "up": ("up", "Start broker, store, topics and workers; stop them all on Ctrl-C."),
    "worker": ("worker", "One worker in the foreground, clean on SIGTERM."),
    "serve": ("serve", "The live page and the HTTP API: decisions, features, models, rules. Read-only."),
    "doctor": ("doctor", "Is everything there and well that a worker needs? What is not, with its remedy."),
    "topics": ("topics", "Create the topics, or list them."),
    "produce": ("produce", "Send NDJSON from standard input to a topic."),
    "consume": ("consume", "Read a topic: pretty on a terminal, NDJSON in a pipe."),
    "replay": ("replay", "Send a recorded data set, or a file, at its own pace or faster."),
    "dlq": ("dlq", "Dead letters: list them, show one, send them again."),
    "features": ("features", "Features: list them, show an entity's, write their page, predict what they take."),
    "state": ("state", "The state in Redis: dump, rebase, rebuild."),
    "archive": ("archive", "Keep history as Parquet files; list, compact, expire them."),
    "learn": ("learn", "Teach online models what became of orders, as soon as that is known."),
    "audit": ("audit", "Does everything add up? What was consumed, and what became of it."),
    "parity": ("parity", "Does a feature mean the same live and in history? Logged vectors against a replay."),
    "explain": ("explain", "Why was this order decided so, and would it be today? Out of the archive."),
    "chaos": ("chaos", "Kill workers, broker and store; compare with a clean pass."),
    "models": ("models", "Models: list and compare them, move one into traffic and back."),
    "fit": ("fit", "Fit the logistic model on recorded data."),
    "train": ("train", "Train models on a training set and judge them on days they have not seen."),
    "retrain": ("retrain", "Train anew when it is due; what is better beyond noise is put in force."),
    "status": ("status", "What is in force, since when, how good it is, and what the last retraining came to."),
    "evaluate": ("evaluate", "Judge a model on a labelled table as the stream would: labels come late."),
    "schemas": ("schemas", "Export the JSON Schemas of every event and record."),
    "completion": ("completion", "Print the script that completes commands in your shell."),
}

# What a user can mend: told without a traceback. By name, so that nothing is imported to look: an error of a library
# that is not loaded cannot have been raised.
EXPECTED = (
    ("schemas.settings", "BadSettingsError"),
    ("schemas.decisions", "NewerVersionError"),
    ("features.bag", "BadBagError"),
    ("models.documents", "ArtefactError"),
    ("models.deployments", "DeploymentError"),
    ("models.registry", "RegistryError"),
    ("streams.embedded.processes", "StartError"),
    ("streams.chaos.watch", "StuckError"),
    ("streams.protocol.ports", "Stop"),
    ("streams.protocol.ports", "StoreDown"),
    ("streams.protocol.ports", "SinkDown"),
    ("streams.data.cluster", "ClusterError"),
    ("streams.data.sender", "SendError"),
    ("archive.errors", "ArchiveError"),
    ("storage.errors", "StorageError"),
    ("storage.errors", "StorageDown"),
    ("aiokafka.errors", "KafkaError"),
    ("redis.exceptions", "RedisError"),
)


class CouldNotRun(click.ClickException):
    """For a command to raise: the message names the thing, its value and the remedy."""

    exit_code = COULD_NOT_RUN


class PipeClosedError(Exception):
    """Whoever read our output has had enough."""


class Commands(click.Group):
    """The table as a group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"streams.cli.{COMMANDS[cmd_name][0]}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Help ends with examples: they are read where somebody asks for it."""
        name, found, rest = super().resolve_command(ctx, args)
        shows_help = not HELP.isdisjoint(rest) or (not rest and isinstance(found, click.Group))
        if found is not None and name is not None and shows_help:
            _with_examples(found, name)
        return name, found, rest

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Of the table: no command is imported to complete its name."""
        if not incomplete.startswith("-"):
            return [
                CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)
            ]
        return super().shell_complete(ctx, incomplete)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:  # click would exit with 1, which is an answer here
            raise PipeClosedError from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _with_examples(command: click.Command, path: str) -> None:
    from streams.cli.examples import epilog

    command.epilog = epilog(path)
    for name, part in command.commands.items() if isinstance(command, click.Group) else ():
        _with_examples(part, f"{path} {name}")


@click.command(cls=Commands, context_settings={"help_option_names": [*sorted(HELP)], "max_content_width": 100})
@click.version_option(None, "--version", package_name="headrace")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Headrace: a shop's events in through Kafka, decisions out, nothing lost and nothing counted twice.

    Settings are environment variables: HEADRACE_KAFKA__BROKERS, HEADRACE_REDIS__URL and so on.

    Exit codes: 0 it holds, 1 it does not, 2 it could not run.
    """
    import logging

    if os.environ.get("NO_COLOR"):  # https://no-color.org: rich looks at it, click does not
        ctx.color = False
    os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")  # its colorama resets a terminal at the end
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it says of an outage, an error of ours says once
    if ctx.invoked_subcommand != "worker":  # which logs them
        _tell_slips()


def _tell_slips() -> None:
    """Warns of variables with our prefix that nothing reads: a slip of the pen would leave the default in force."""
    if any(name.upper().startswith("HEADRACE_") for name in os.environ):
        from schemas.settings import unknown_variables

        for name, near in unknown_variables().items():
            click.echo(f"Warning: no such setting: {name}" + (f": did you mean {near}?" if near else ""), err=True)


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line (default: this process's) and returns its exit code; errors go to standard error."""
    try:
        code = cli.main(arguments, prog_name="headrace", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return COULD_NOT_RUN
    except click.ClickException as error:
        error.show()
        return COULD_NOT_RUN
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except (PipeClosedError, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the flush at exit fails again
        return PIPE_CLOSED
    except Exception as error:
        return _tell(error)
    return code if isinstance(code, int) else HOLDS


def _tell(error: Exception) -> int:
    if any(isinstance(error, kind) for kind in expected()):
        click.echo(f"Error: {_wording(error)}", err=True)
    else:
        traceback.print_exception(error)
        click.echo(f"Error: headrace has failed: {error!r}. This is a bug: please report the lines above.", err=True)
    return COULD_NOT_RUN


def _wording(error: Exception) -> str:
    """An error of a library in our words where we have them: those of a broker that does not permit it."""
    if type(error).__module__ == "aiokafka.errors":
        from streams.transport.admission import not_permitted

        if why := not_permitted(error):
            return why
    return str(error) or type(error).__name__


def expected() -> list[type[BaseException]]:
    loaded = ((sys.modules[module], name) for module, name in EXPECTED if module in sys.modules)
    return [getattr(module, name) for module, name in loaded]


def main() -> NoReturn:
    """The console script."""
    sys.exit(run())
