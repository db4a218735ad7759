"""`headrace dlq ls|show|redrive`: what could not be used, why, and back again."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from streams.cli.completion import topics as known

if TYPE_CHECKING:
    from streams.data.dlq import Count, Letter, Letters, State

WHERE = click.argument("where", metavar="TOPIC[/PARTITION/OFFSET]", shell_complete=known)
REASON = click.option("--reason", help="Only letters of this reason.")


@click.group("dlq")
def command() -> None:
    """Dead letters: list them, show one, send them again.

    A letter is named by the place that its record had in its topic, as in orders/0/17.
    """


@command.command("ls")
@click.argument("topics", nargs=-1, metavar="[TOPIC]...", shell_complete=known)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def ls(topics: tuple[str, ...], as_json: bool) -> int:
    """Count dead letters by topic and reason."""
    import msgspec

    from schemas.settings import load
    from schemas.topics import INPUTS
    from streams.data.cluster import Cluster
    from streams.data.dlq import counts

    wanted = [topic.removesuffix(".dlq") for topic in topics] or INPUTS
    lines = asyncio.run(counts(Cluster(load().kafka), wanted))
    if as_json or not sys.stdout.isatty():
        for line in lines:
            click.echo(msgspec.json.encode(line))
    else:
        _print_counts(lines)
    return 0


def _print_counts(lines: list[Count]) -> None:
    from rich.console import Console
    from rich.table import Table

    from schemas.timestamps import rfc3339

    table = Table("topic", "reason", box=None, pad_edge=False, header_style="bold")
    for name in ("letters", "redriven", "first", "last"):
        table.add_column(name, justify="right")
    for line in lines:
        times = [rfc3339(at_ms) for at_ms in (line.first_ms, line.last_ms)]
        table.add_row(line.topic, line.reason, f"{line.letters:,}", f"{line.redriven:,}", *times)
    Console().print(table if lines else "no dead letters")


@command.command("show")
@WHERE
@REASON
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many, oldest first."
)
@click.option("--value", is_flag=True, help="The original bytes of the values alone, one a line.")
def show(where: str, reason: str | None, limit: int, value: bool) -> int:
    """Show dead letters: the original key, value and headers, and why. Exit code 1 if there is none."""
    from schemas.settings import load
    from streams.data.cluster import Cluster
    from streams.data.dlq import Where, letters_and_marks

    wanted = Where.parse(where, reason)
    found = asyncio.run(letters_and_marks(Cluster(load().kafka), wanted.topic))
    letters = found.chosen(wanted)[:limit]
    if value:
        sys.stdout.buffer.write(b"".join((letter.record.value or b"") + b"\n" for letter in letters))
    else:
        _show(found, letters)
    return int(not letters)


def _show(found: Letters, letters: list[Letter]) -> None:
    states = found.states(letters, round(time.time() * 1000))
    for letter, state in zip(letters, states, strict=True):
        if sys.stdout.isatty():
            _print_letter(letter, state)
        else:
            click.echo(_line(letter, state))


def _line(letter: Letter, state: State) -> bytes:
    import orjson

    from streams.data.show import header_table, plain, when

    record = letter.record
    whole: dict[str, Any] = {
        "letter": letter.place,
        "state": state,
        "reason": letter.reason,
        "path": letter.path,
        "detail": letter.detail,
        "attempt": letter.attempt,
        "time": when(record.timestamp),
        "key": plain(record.key),
        "headers": header_table(letter.headers),
        "value": plain(record.value),
    }
    return orjson.dumps(whole)


def _print_letter(letter: Letter, state: State) -> None:
    from rich.console import Console
    from rich.text import Text

    from streams.data.show import plain, pretty_value, when

    console = Console()
    title = Text.assemble((letter.place, "bold red"), f"  {letter.reason} at {letter.path}  ", (letter.detail, "dim"))
    console.print(title)
    times = "once" if letter.attempt == 1 else f"{letter.attempt} times"
    key = plain(letter.record.key)
    console.print(Text(f"  {state}, refused {times}, {when(letter.record.timestamp)}  key {key}", style="dim"))
    for name, header in letter.headers:
        console.print(Text(f"  {name}: {plain(header)}", style="dim"))
    console.print(pretty_value(letter.record.value))


@command.command("redrive")
@WHERE
@REASON
@click.option("--again", is_flag=True, help="Also those that were sent back before and died again.")
def redrive(where: str, reason: str | None, again: bool) -> int:
    """Send dead letters back to where they came from, with their original bytes. Each once, however often you ask.

    A letter that dies again is left alone unless it is named by its place or asked for with --again.
    Exit code 1 if another process is at it and some are left to it.
    """
    from schemas.settings import load
    from streams.data.cluster import Cluster
    from streams.data.dlq import Where
    from streams.data.redrive import redrive as send_back

    wanted = Where.parse(where, reason)
    done = asyncio.run(send_back(Cluster(load().kafka), wanted, again=again))
    before = f", {done.before:,} were before" if done.before else ""
    busy = f", {done.busy:,} left to another process that is at it (ask again in a minute)" if done.busy else ""
    died = f", {done.again:,} died again (--again sends them once more)" if done.again else ""
    click.echo(f"{done.sent:,} sent back to {wanted.topic}{before}{died}{busy}")
    return int(done.busy > 0)
