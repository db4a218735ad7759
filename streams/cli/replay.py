"""`headrace replay DATASET|FILE`: recorded events into their topics."""

from __future__ import annotations

import asyncio
import math
import re
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.cli import CouldNotRun

if TYPE_CHECKING:
    from simulation.event import Event
    from streams.data.cluster import Cluster
    from streams.data.dataset import Dataset, Window
    from streams.data.record import Record
    from streams.data.replay import Replayed

SLACK_DAYS = 2.0  # between a shop that is sent as history and now: a few orders more or less, and all of it is past
UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Speed(click.ParamType):
    name = "60x|max"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        if value == "max":
            return float("inf")
        found = re.fullmatch(r"([0-9]*\.?[0-9]+)x?", str(value))
        if found is None or float(found[1]) <= 0:
            self.fail(f"{value!r}: want max, or how much faster than it happened, as in 60x", param, ctx)
        return float(found[1])


class Span(click.ParamType):
    name = "1h"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([0-9]*\.?[0-9]+)(ms|s|m|h|d)", str(value))
        if found is None or float(found[1]) <= 0:
            self.fail(f"{value!r}: want a span of event time, as in 30m, 1h or 2d", param, ctx)
        return round(float(found[1]) * UNITS_MS[found[2]])


class Moment(click.ParamType):
    name = "DATE|TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from schemas.timestamps import epoch_ms

        if isinstance(value, int):
            return value
        text = str(value)
        at_ms, bad = epoch_ms([f"{text}T00:00:00Z" if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else text])
        if bad[0]:
            self.fail(f"{value!r}: want a date as in 2018-07-25, or a time as in 2018-07-25T12:00:00Z", param, ctx)
        return int(at_ms[0])


@click.command("replay")
@click.argument("what", metavar="DATASET|FILE")
@click.option("--topic", "topics", multiple=True, help="Only these topics; of a file: where its events go.")
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="Folder of data sets (or HEADRACE_DATA)."
)
@click.option("--speed", type=Speed(), default="max", show_default=True, help="Of event time against the clock.")
@click.option("--lockstep", type=Span(), help="Never further ahead of the slowest partition's worker than this.")
@click.option("--from", "since", type=Moment(), help="Event times from here on (UTC).")
@click.option("--to", "until", type=Moment(), help="Event times before this (UTC).")
@click.option("--seed", type=int, default=7, show_default=True, help="Of the simulated shop.")
@click.option("--orders", type=click.IntRange(min=1), help="Of the simulated shop: end after so many.")
@click.option(
    "--days",
    type=click.FloatRange(min=0, min_open=True, max=365),
    default=2.0,
    show_default=True,
    help="Of the simulated shop's history: how many it takes for these orders.",
)
@click.option("--keep-forever", is_flag=True, help="Let topics that would delete such old records keep them.")
def command(
    what: str,
    topics: tuple[str, ...],
    data: Path | None,
    speed: float,
    lockstep: int | None,
    since: int | None,
    until: int | None,
    seed: int,
    orders: int | None,
    days: float,
    keep_forever: bool,
) -> int:
    """Send a recorded data set (fraud-handbook, ga360), a file of events, or a simulated shop to its topics by time.

    The simulated `shop` runs live with --speed 1x, or with --speed max --orders N as N orders of the --days before now.
    Records are dated by their events. With --lockstep 1h the workers are never more than an hour of event time behind,
    so that labels neither leak nor lag.
    """
    from schemas.settings import load
    from schemas.timestamps import rfc3339
    from streams.data.adapters import dataset
    from streams.data.cluster import Cluster as Kafka
    from streams.data.dataset import EVER_MS, DataError, Window

    settings = load()
    window = Window(-EVER_MS if since is None else since, EVER_MS if until is None else until)
    try:
        source = _shop(seed, orders, speed, days) if what == "shop" else dataset(what, data or settings.data, topics)
        done = asyncio.run(_replay(Kafka(settings.kafka), source, topics, window, speed, lockstep, keep_forever))
    except DataError as error:
        raise CouldNotRun(str(error)) from error
    counts = ", ".join(f"{count:,} to {topic}" for topic, count in sorted(done.sent.items())) or "nothing"
    between = f", {rfc3339(done.first_ms)} to {rfc3339(done.last_ms)}" if done.first_ms and done.last_ms else ""
    click.echo(f"{source.name}: {counts}{between}", err=True)
    return 0


@dataclass(frozen=True, slots=True)
class _Shop:
    """The simulated shop as a data set."""

    events: Iterator[Event]
    span_ms: tuple[int, int] | None = None
    name: str = "shop"
    topics: tuple[str, ...] = ("orders", "clickstream", "cart", "labels")

    def records(self, window: Window) -> Iterator[Record]:
        from streams.data.live import arrivals

        return (record for record in arrivals(self.events) if window.holds(record.timestamp_ms or 0))


def _shop(seed: int, orders: int | None, speed: float, days: float) -> _Shop:
    """Live from now on, or history that ends before now: a record from the future is refused by broker and workers."""
    from simulation.disturb import Disturbance, disturb
    from simulation.shop import Plan, Shop, until_orders

    now_ms = round(time.time() * 1000)
    if speed == 1.0:
        events = Shop(Plan.live(seed), now_ms).events()
        return _Shop(events if orders is None else until_orders(events, orders))
    if speed != math.inf or orders is None:
        raise CouldNotRun("the shop runs live, with --speed 1x, or as history, with --speed max --orders N")
    shop = Shop(Plan.stress(orders, seed, days), now_ms - round((days + min(days, SLACK_DAYS)) * UNITS_MS["d"]))
    return _Shop(disturb(until_orders(shop.events(), orders), Disturbance(), seed))


async def _replay(
    cluster: Cluster,
    source: Dataset,
    topics: tuple[str, ...],
    window: Window,
    speed: float,
    lockstep_ms: int | None,
    keep_forever: bool,
) -> Replayed:
    from streams.data.lockstep import Lockstep
    from streams.data.meter import meter
    from streams.data.progress import watching
    from streams.data.replay import Pace, Replay
    from streams.data.retention import check_retention
    from streams.data.sender import Sender

    wanted = topics or source.topics
    await cluster.partitions(wanted)
    span_ms = window.within(source.span_ms)
    if span_ms is not None:
        await check_retention(cluster, wanted, span_ms[0], lift=keep_forever)
    lockstep = Lockstep(lockstep_ms) if lockstep_ms is not None else None
    async with AsyncExitStack() as stack:
        progress = await stack.enter_async_context(watching(cluster, wanted)) if lockstep is not None else None
        producer = await stack.enter_async_context(cluster.producer())
        sender = Sender(producer, lockstep.acked if lockstep is not None else None)
        shown = stack.enter_context(meter(source.name, span_ms, sys.stderr))
        replay = Replay(sender, Pace(speed), shown, lockstep, progress)
        return await replay.run(record for record in source.records(window) if record.topic in wanted)
