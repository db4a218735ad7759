"""`headrace features ls|docs|show`: what the features are, and what they say of somebody; the rest stands beside."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from streams.cli import CouldNotRun
from streams.cli.budget import budget
from streams.cli.replay import Moment
from streams.cli.sets import backfill, build
from streams.cli.table import print_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from features.definitions import Definitions
    from features.feature import Feature
    from features.group import Group
    from features.reading import Reading
    from schemas.settings import Settings


@click.group("features")
def command() -> None:
    """Features: list them, show an entity's, write their page, predict what they take; make training sets of them."""


command.add_command(budget)
command.add_command(build)
command.add_command(backfill)


@command.command("ls")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def ls(as_json: bool) -> int:
    """Every feature: whose, what it is, its window, and what counts."""
    import orjson

    from features.catalogue import catalogue

    told = [asdict(one) for one in catalogue(*_definitions())]
    if as_json:
        for one in told:
            click.echo(orjson.dumps(one).decode())
    else:
        print_table(
            [
                {name: "yes" if cell is True else "no" if cell is False else cell for name, cell in one.items()}
                for one in told
            ]
        )
    return 0


@command.command("docs")
def docs() -> int:
    """Write the page of all features, as Markdown, to standard output."""
    from features.catalogue import page

    click.echo(f"# Features\n\n{page(*_definitions())}")
    return 0


@command.command("show")
@click.argument("entity", metavar="GROUP:ID")
@click.option(
    "--at", "at_ms", type=Moment(), help="As of then, and not now: no event earlier than the bag's newest can be."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(entity: str, at_ms: int | None, as_json: bool) -> int:
    """What is known of an entity, as an event of it would find it now. Nothing is written.

    The event that would ask is not counted. What compares an event with its past has no value.
    """
    import orjson

    from features.join import Meeting
    from schemas.settings import load
    from streams.space import definitions_of

    settings = load()
    definitions = definitions_of(settings)
    name, colon, id_ = entity.partition(":")
    known: dict[str, Group | Meeting] = {group.name: group for group in definitions.groups}
    known |= {meeting.name: meeting for meeting in definitions.meetings}
    if not colon or name not in known:
        raise CouldNotRun(f"{entity!r}: want GROUP:ID, as in user:42; the groups are {', '.join(known)}")
    group = known[name]
    if isinstance(group, Meeting):
        meant = _found(asyncio.run(_meant(settings, definitions, group, id_)), name, id_)
        click.echo(orjson.dumps(meant, option=0 if as_json else orjson.OPT_INDENT_2).decode())
        return 0
    at = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    reading = _found(asyncio.run(_reading(settings, definitions, group, id_, at)), name, id_)
    if as_json:
        click.echo(orjson.dumps({"group": name, "entity": id_, "at_ms": at, **asdict(reading)}).decode())
    else:
        _print_reading(settings, definitions, group, reading, at)
    return 0


def _definitions() -> tuple[Definitions, Mapping[int, str]]:
    """Those of the settings, and what the kinds of event are called: of a file of one's own nobody knows."""
    from features.kinds import NAMES
    from schemas.settings import load
    from streams.space import definitions_of

    settings = load()
    return definitions_of(settings), NAMES if settings.features is None else {}


def _found(what: Any, group: str, id_: str) -> Any:
    if what is None:
        raise CouldNotRun(
            f"the store has nothing of {group} {id_!r}: no event named it, or its bag has outlived its windows; an id "
            "is taken as events write it (`headrace state dump` lists all)"
        )
    return what


async def _reading(settings: Settings, definitions: Definitions, group: Group, id_: str, at_ms: int) -> Reading | None:
    from streams.reading import readings
    from streams.space import open_store

    async with open_store(settings, definitions) as store:
        (found,) = await readings(store, group, [id_], at_ms)
        return found


async def _meant(settings: Settings, definitions: Definitions, meeting: Any, id_: str) -> dict[str, Any] | None:
    from streams.reading import meant
    from streams.space import open_store

    async with open_store(settings, definitions) as store:
        return await meant(store, meeting, id_)


def _print_reading(settings: Settings, definitions: Definitions, group: Group, reading: Reading, at_ms: int) -> None:
    from features.catalogue import catalogue
    from features.sequence import Recent
    from schemas.timestamps import rfc3339

    words = {one.column: one.what for one in catalogue(definitions) if one.group == group.name}
    seen = (
        "no event" if reading.newest_ms is None else f"{_ago(at_ms - reading.newest_ms)} ({rfc3339(reading.newest_ms)})"
    )
    first = "" if reading.oldest_ms is None else f", oldest {_ago(at_ms - reading.oldest_ms)}"
    click.echo(f"as of     {rfc3339(at_ms)}" + _moved(reading, at_ms))
    click.echo(f"newest    {seen}{first}")
    click.echo(
        f"bag       {reading.bag_bytes:,} bytes: {reading.entries} entries, {reading.tiles} tiles, "
        f"{reading.others} counterparties"
    )
    click.echo()
    told = list(zip(reading.values.items(), group.features, strict=True))
    print_table(
        [
            {"column": name, "value": _worth(value, feature, settings), "what": words[name]}
            for (name, value), feature in told
            if not isinstance(feature.read, Recent)
        ]
    )
    if places := _sequence(told, settings):
        click.echo()
        print_table(places, right=tuple(places[0]))


def _sequence(told: Sequence[tuple[tuple[str, float | None], Feature]], settings: Settings) -> list[dict[str, str]]:
    """The newest events, one a line, as far as there are; what needs an event that asks is left out."""
    from features.sequence import Recent, RecentGap

    places: dict[int, dict[str, str]] = {}
    empty = set()
    for (name, value), feature in told:
        if isinstance(feature.read, Recent) and value is not None:
            nth = feature.read.nth
            line = places.setdefault(nth, {"newest": str(nth)})
            line[name.removesuffix(f"_{nth}")] = _worth(value, feature, settings)
            if isinstance(feature.read, RecentGap) and value < 0:
                empty.add(nth)
    return [places[nth] for nth in sorted(places) if nth not in empty]


def _moved(reading: Reading, at_ms: int) -> str:
    from schemas.timestamps import rfc3339

    return "" if reading.end_ms == at_ms else f"; its events are newer, so windows end at {rfc3339(reading.end_ms)}"


def _worth(value: float | None, feature: Any, settings: Settings) -> str:
    """A value with its unit; amounts in the base currency."""
    from features.reading import unit_of
    from schemas.money import exponent

    if value is None:
        return "of an event"
    unit = unit_of(feature)
    if unit in ("s", "days") and value < 0:
        return "never"
    if unit == "amount":
        base = settings.money.base
        return f"{value / 10 ** exponent(base):,.2f} {base}"
    return f"{value:,.4g} {unit}".rstrip() if abs(value) < 10_000 else f"{value:,.0f} {unit}".rstrip()


def _ago(ms: int) -> str:
    """A length of time in its largest two units."""
    from features.catalogue import UNITS

    if ms < 0:
        return f"{_ago(-ms)} later"
    size, unit = next((u for u in UNITS if ms >= u[0]), (1, "ms"))
    return f"{ms / size:.1f} {unit} ago".replace(".0 ", " ")
