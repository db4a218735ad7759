"""`headrace archive [ls|compact|expire|sql]`: the process that writes history to files, and what looks after them."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from streams.cli.completion import topics as known
from streams.cli.running import foreground, overrides

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from archive.coverage import Held
    from storage.places import Place

WIDE = 140  # columns in a pipe: no cell is cut off


@click.group("archive", invoke_without_command=True)
@foreground
@click.option("--skip-lost", is_flag=True, help="Go on behind what retention deleted before it was archived: a hole.")
@click.pass_context
def command(ctx: click.Context, metrics_port: int | None, log_format: str | None, skip_lost: bool) -> int:
    """Keep history as Parquet files; list, compact, expire them.

    Alone it is one foreground process that writes every event, decision and row of `applied` to HEADRACE_ARCHIVE__URL
    until it is told to stop. It can be killed at any time. Needs the extra `history`.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    from schemas.settings import load
    from streams.archive.run import run_archive

    return run_archive(load(**overrides(metrics_port, log_format)), skip_lost=skip_lost)


@command.command("ls")
@click.argument("topic", required=False, shell_complete=known)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def ls(topic: str | None, as_json: bool) -> int:
    """What is archived, a line for each partition. Exit code 1: offsets are missing between files."""
    import orjson

    from archive.coverage import held

    rows = held(_place(), topic)
    if as_json:
        for row in rows:
            click.echo(orjson.dumps(row).decode())
    else:
        _print_table(rows)
    for row in rows:
        for gap in row.gaps:
            click.echo(f"missing: {row.topic}/{row.partition} offsets {gap.first} to {gap.last}", err=True)
    return int(any(row.gaps for row in rows))


@command.command("compact")
@click.argument("topic", required=False, shell_complete=known)
def compact(topic: str | None) -> None:
    """Merge small files into larger ones, of up to HEADRACE_ARCHIVE__COMPACT_MB. Safe beside writers and readers."""
    from archive import upkeep
    from schemas.settings import load

    place, target = _place(), load().archive.compact_mb * 2**20
    upkeep.sweep(place, time.time())
    done = upkeep.Kept()
    for group in upkeep.partitions(place, topic):
        done += upkeep.compact(place, group, target)
    click.echo(f"{done.merged:,} files merged into {done.made:,}; {done.removed:,} removed")


@command.command("expire")
@click.argument("topic", required=False, shell_complete=known)
@click.option("--days", type=click.IntRange(min=1), help="Default: HEADRACE_ARCHIVE__KEEP_DAYS.")
def expire(topic: str | None, days: int | None) -> None:
    """Remove files that are older than so many days; the newest of each partition stays."""
    from archive import upkeep
    from archive.names import date_of, day_of
    from schemas.settings import load
    from streams.cli import CouldNotRun

    days = days or load().archive.keep_days
    if days is None:
        raise CouldNotRun("how old may files be? Give --days N, or set HEADRACE_ARCHIVE__KEEP_DAYS")
    place, today = _place(), day_of(time.time_ns() // 1_000_000)
    done = upkeep.Kept()
    for group in upkeep.partitions(place, topic):
        done += upkeep.expire(place, group, date_of(max(0, today - days)), date_of(today))
    click.echo(f"{done.expired:,} files removed")


@command.command("sql")
@click.argument("topic")
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="First day, in UTC.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last day.")
def sql(topic: str, first: datetime | None, last: datetime | None) -> None:
    """A query for DuckDB that gives every record of TOPIC once: `duckdb -c "$(headrace archive sql orders)"`."""
    from archive.coverage import select
    from archive.reader import Between

    click.echo(select(_place(), topic, Between.dates(first, last)))


def _place() -> Place:
    """What HEADRACE_ARCHIVE__URL names."""
    from schemas.settings import load
    from streams.archive.run import archive_of

    return archive_of(load())


def _print_table(rows: Sequence[Held]) -> None:
    from rich.console import Console
    from rich.table import Table

    names = ("topic", "partition", "first", "last", "rows", "bytes", "files", "since", "until", "gaps")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="left" if name in ("topic", "since", "until") else "right")
    for row in rows:
        cells = [len(row.gaps) if name == "gaps" else getattr(row, name) for name in names]
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for cell in cells))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)
