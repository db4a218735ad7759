"""`headrace features build`: a table to train on, made from the archive."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.cli.progress import progress
from streams.cli.replay import Moment
from streams.cli.table import print_table

if TYPE_CHECKING:
    from features.definitions import Definitions
    from features.replay import Rebuilt
    from features.skew import Skews
    from storage.places import Place
    from streams.past.vectors import Exact
    from training.sets.asked import Asked, Built, Vectors

DAY_MS = 86_400_000
MATURE_DAYS = 120.0
SOURCES = ("auto", "logged", "replayed")


@click.command("build")
@click.option("--from", "since", type=Moment(), required=True, help="Orders of event times from here on (UTC).")
@click.option("--to", "until", type=Moment(), required=True, help="Orders of event times before this (UTC).")
@click.option("--labels-as-of", "as_of", type=Moment(), required=True, help="What became known later is left out.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="FILE.parquet, or a folder: a file a day.")
@click.option("--mature-days", type=click.FloatRange(min=0), default=MATURE_DAYS, show_default=True,
              help="From this age on an order of which nothing is known is a good one.")  # fmt: skip
@click.option("--topic", default="orders", show_default=True, help="The scored topic.")
@click.option("--vectors", "source", type=click.Choice(SOURCES), default="auto", show_default=True,
              help="As logged; replayed from the log; auto: replayed where the features were others.")  # fmt: skip
@click.option("--settled", type=click.FloatRange(min=0), default=3600.0, show_default=True,
              help="Of a replay: by how many seconds the files of one topic may be behind another's.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def build(
    since: int,
    until: int,
    as_of: int,
    out: Path,
    mature_days: float,
    topic: str,
    source: str,
    settled: float,
    as_json: bool,
) -> int:
    """Make a training set: each order's vector as it was at the decision, and its label as it was known at a moment.

    Reads the archive of HEADRACE_ARCHIVE__URL. The same question is the same bytes, whatever was archived since.
    """
    if since >= until:
        raise click.UsageError("--from must be before --to")
    if as_of < until:
        raise click.UsageError(
            "--labels-as-of must not be before --to: at that moment not all of the orders were there"
        )
    if as_of > time.time_ns() // 1_000_000:
        raise click.UsageError("--labels-as-of is in the future: asked again then, the set would be another one")
    from schemas.settings import load
    from streams.archive.run import archive_of
    from streams.space import definitions_of, limits_of
    from training.sets.asked import Asked
    from training.sets.build import build

    settings = load()
    definitions, place = definitions_of(settings), archive_of(settings)
    future_ms = limits_of(settings).future_ms
    asked = Asked(since, until, as_of, round(mature_days * DAY_MS), topic, source, future_ms)  # type: ignore[arg-type]  # click has looked

    def rebuild(upto: Mapping[int, int]) -> Iterator[Vectors]:
        return replayed(place, definitions, asked, settled, upto)

    with progress() as tell:
        built = build(place, definitions, asked, out, rebuild=rebuild, tell=tell)
    click.echo(json.dumps(dict(built.about) | {"files": built.files}) if as_json else _lines(built))
    return 0


def replayed(
    place: Place, definitions: Definitions, asked: Asked, settled_s: float, upto: Mapping[int, int]
) -> Iterator[Vectors]:
    """Every order's vector by a replay of the archive; nothing here waits, so no loop need run beside it."""
    from streams.past.archived import ArchivePast
    from streams.past.vectors import rebuilt
    from streams.space import ttls_of
    from training.sets.asked import Vectors

    past = ArchivePast(place, [flow.topic for flow in definitions.flows], settled_s=settled_s)
    found = rebuilt(
        past,
        definitions,
        asked.topic,
        upto,
        from_ms=asked.from_ms,
        lifetimes_ms=ttls_of(definitions),
        future_ms=asked.future_ms,
    )
    loop = asyncio.new_event_loop()  # a Runner would write down each result, in case of SIGINT
    try:
        while True:
            try:
                one, exact = loop.run_until_complete(_next(found))
            except StopAsyncIteration:
                return
            told = one.range.tag
            yield Vectors(told.applied.partition, told.offset, one.rows, exact)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _next(found: AsyncIterator[tuple[Rebuilt, Exact]]) -> tuple[Rebuilt, Exact]:
    return await anext(found)


@click.command("backfill")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--beside", is_flag=True, help="While workers run: it says when to stop them, and waits for it.")
@click.option("--sample", type=click.IntRange(min=0), default=1_000, show_default=True,
              help="Of how many entities of each group order skew is told; 0: of none.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def backfill(names: tuple[str, ...], beside: bool, sample: int, as_json: bool) -> int:
    """Fill groups NAME..., which are new or have changed, from the archive, so that workers can start with them.

    Reads the archive of HEADRACE_ARCHIVE__URL. Puts them in place when no worker is alive. Cut short, run it again.
    Tells of each feature how many values would have been others by event time (order skew).
    """
    from schemas.settings import load
    from streams.archive.run import archive_of
    from streams.backfill import backfill

    settings = load()
    tell = partial(click.echo, err=True)
    filled = asyncio.run(backfill(settings, archive_of(settings), names, tell, beside=beside, sample=sample))
    if as_json:
        click.echo(json.dumps(asdict(filled)))
        return 0
    click.echo(f"{filled.entities:,} bags of {', '.join(names)} from {filled.events:,} events")
    for skews in filled.skews:
        _print_skews(skews)
    return 0


def _print_skews(skews: Skews) -> None:
    click.echo(
        f"order skew of {skews.group}: {skews.events:,} events of {skews.entities:,} entities, "
        f"{skews.out_of_order:,} out of order"
        + (f"; of {skews.cut:,} entities only the first events" if skews.cut else "")
    )
    print_table(
        [
            {
                "column": one.column,
                "order": one.order,
                "values": f"{one.values:,}",
                "seen differs": f"{one.differ:,} ({one.differ / max(one.values, 1):.2%})",
                "mean": f"{one.mean:.4g}",
                "largest": f"{one.most:.4g}",
                "kept differs": f"{one.kept:,}",
            }
            for one in skews.features
        ]
    )


def _lines(built: Built) -> str:
    counts, about = built.counts, built.about
    where = built.files[0] if len(built.files) == 1 else f"{len(built.files)} files"
    lines = [
        f"{counts.rows:,} orders from {about['from']} to {about['to']}, labels as of {about['labels_as_of']}: {where}",
        f"  fraud {counts.fraud:,}, good {counts.good:,}, not known yet {counts.unknown:,}; matured {counts.matured:,}",
        f"  vectors logged {counts.logged:,}, replayed {counts.replayed:,}",
    ]
    if counts.inexact:
        lines.append(f"  of the replayed {counts.inexact:,} may not be what a worker had: column `exact`")
    return "\n".join(lines)
