"""`headrace consume TOPIC...`: a topic on the screen, or as NDJSON in a pipe."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from streams.cli.completion import topics as known

if TYPE_CHECKING:
    from streams.data.consume import Place, Read


class _Place(click.ParamType):
    name = "start|end|OFFSET"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        if isinstance(value, str) and value.isascii() and value.isdigit():
            return int(value)
        if value not in ("start", "end") and not isinstance(value, int):
            self.fail(f"{value!r}: want start, end or an offset from 0 on", param, ctx)
        return value


@click.command("consume")
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC...", shell_complete=known)
@click.option("--from", "place", type=_Place(), default="end", show_default=True, help="Of each partition.")
@click.option("--partition", type=click.IntRange(min=0), help="This one only.")
@click.option("--until-idle", type=click.FloatRange(min=0), metavar="S", help="End when nothing came for S seconds.")
@click.option("--limit", type=click.IntRange(min=1), help="End after so many records.")
@click.option("--headers", is_flag=True, help="Show topic, partition, offset, time, key and headers too.")
def command(
    topics: tuple[str, ...],
    place: Place,
    partition: int | None,
    until_idle: float | None,
    limit: int | None,
    headers: bool,
) -> None:
    """Read topics: pretty on a terminal, NDJSON in a pipe. No group is joined, no offset is committed."""
    from schemas.settings import load
    from streams.data.cluster import Cluster
    from streams.data.consume import Part, follow

    write = _to_screen if sys.stdout.isatty() else _to_pipe

    async def run() -> None:
        left = limit
        async with aclosing(follow(Cluster(load().kafka), Part(topics, place, partition), until_idle)) as following:
            async for records in following:
                write(records[:left], headers=headers)
                left = None if left is None else left - len(records)
                if left is not None and left <= 0:
                    return

    asyncio.run(run())


def _to_pipe(records: list[Read], *, headers: bool) -> None:
    from streams.data.show import line

    sys.stdout.buffer.write(b"".join(line(record, headers=headers) + b"\n" for record in records))
    sys.stdout.buffer.flush()


def _to_screen(records: list[Read], *, headers: bool) -> None:
    from rich.console import Console

    from streams.data.show import pretty

    console = Console()
    for record in records:
        console.print(pretty(record, headers=headers))
