"""`headrace explain`: why an order was decided as it was, and whether it would be today."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from streams.cli.replay import Moment

if TYPE_CHECKING:
    from features.definitions import Definitions
    from schemas.settings import Settings
    from streams.explain.kept import Archived, Spot
    from streams.explain.run import Explained, Order, Vector

NOT_EQUAL, NOT_FOUND = 1, 2


@click.command("explain")
@click.argument("ids", nargs=-1, metavar="ID...")
@click.option("--sample", type=click.IntRange(min=1), help="So many decisions, drawn at random, in place of IDs.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of --sample: the same seed draws the same.")
@click.option("--replay", is_flag=True, help="Rebuild the vectors, too, by a replay of the archived log.")
@click.option("--from", "since", type=Moment(), help="Look at records from here on (UTC).")
@click.option("--to", "until", type=Moment(), help="Look at records before this (UTC).")
@click.option(
    "--settled",
    type=click.FloatRange(min=0),
    default=3600.0,
    show_default=True,
    help="With --replay: by how many seconds the files of one topic may be behind those of another.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line in place of text.")
def command(
    ids: tuple[str, ...],
    sample: int | None,
    seed: int,
    replay: bool,
    since: int | None,
    until: int | None,
    settled: float,
    as_json: bool,
) -> int:
    """Why orders were decided as they were: rules, model, members, what weighed most. ID is of a decision, an order or
    an event.

    Each decision is made again from the archive (HEADRACE_ARCHIVE__URL) by the rules and models of then, and held
    against what was published. Exit 0: the same bytes; 1: something differs or cannot be made again; 2: no such
    decision.
    """
    if bool(ids) == (sample is not None):
        raise click.UsageError("name decisions by ID, or ask for some with --sample")
    from archive.reader import Between
    from schemas.settings import load
    from streams.archive.run import archive_of
    from streams.explain.kept import Archived
    from streams.explain.told import lines
    from streams.space import definitions_of

    settings = load()
    archived = Archived(archive_of(settings), Between(since, until))
    spots = archived.sample(sample, seed) if sample is not None else _spots(archived, ids)
    if not spots:
        click.echo("no such decision in the archive: a decision lies there a minute after it was made", err=True)
        return NOT_FOUND
    documents = list(_documents(settings, definitions_of(settings), archived, spots, settled if replay else None))
    for one in documents:
        click.echo(json.dumps(one) if as_json else "\n".join(lines(one)))
    equal = sum(one["equal"] and one.get("vector_equal") is not False for one in documents)
    if len(documents) > 1 or as_json:
        click.echo(f"{len(documents):,} decisions, {equal:,} made again the same", err=as_json)
    return 0 if equal == len(documents) else NOT_EQUAL


def _spots(archived: Archived, ids: Sequence[str]) -> list[Spot]:
    found = archived.find(ids)
    for one, spots in found.items():
        if not spots:
            click.echo(f"no decision, order or event {one} in the archive", err=True)
    return list(dict.fromkeys(spot for spots in found.values() for spot in spots))


def _documents(
    settings: Settings, definitions: Definitions, archived: Archived, spots: Sequence[Spot], settled_s: float | None
) -> Iterator[dict[str, Any]]:
    from models.registry import Registry
    from streams.explain.run import explained, order_of
    from streams.explain.told import document

    registry = Registry.at(settings.registry.url) if settings.registry.url else None
    every = list(explained(archived, spots, definitions, registry))
    vectors = {} if settled_s is None else _replayed(settings, definitions, every, settled_s)
    for one in every:
        told, log = document(one), one.kept.logged
        if settled_s is not None:
            found = vectors.get(order_of(log))
            told["vector_equal"] = None if found is None else bool(found.tolist() == list(log.vector))
        yield told


def _replayed(
    settings: Settings, definitions: Definitions, every: Sequence[Explained], settled_s: float
) -> Mapping[Order, Vector | None]:
    from streams.archive.run import archive_of
    from streams.explain.run import replayed
    from streams.past.archived import ArchivePast
    from streams.space import limits_of, ttls_of

    past = ArchivePast(archive_of(settings), [flow.topic for flow in definitions.flows], settled_s=settled_s)
    logs, future_ms = [one.kept.logged for one in every], limits_of(settings).future_ms
    return asyncio.run(replayed(past, logs, definitions, lifetimes_ms=ttls_of(definitions), future_ms=future_ms))
