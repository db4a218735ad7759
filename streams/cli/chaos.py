"""`headrace chaos`: a door to streams/chaos, with the shop of simulation/ as its events."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from streams.chaos.run import Events
    from streams.data.record import Record

MUTATIONS = ("no-plan", "early-publish", "no-dedup", "no-stamp")
DAY_MS = 86_400_000
DAYS = 3.0
GARBAGE = 0.002
ALSO = (
    "worker-stop", "broker-kill", "broker-stop", "store-kill", "store-stop", "store-rollback",
)  # fmt: skip


@click.command("chaos")
@click.option("--orders", type=click.IntRange(min=100), default=2000, show_default=True, help="With clicks and carts.")
@click.option("--kills", type=click.IntRange(min=0), default=3, show_default=True, help="SIGKILLs of workers.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="How many worker processes.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of the events and of the faults.")
@click.option("--also", type=click.Choice(ALSO), multiple=True, help="One more fault; may be given several times.")
@click.option("--delivery", type=click.Choice(["at-least-once", "exactly-once"]), default="at-least-once")
@click.option("--kafka", is_flag=True, help="On Apache Kafka, started here from its jars (Java, Maven).")
@click.option("--mutate", type=click.Choice(MUTATIONS), default=None, help="Switch one safety off: it must be missed.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Leave logs and both dumps here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def command(
    orders: int,
    kills: int,
    workers: int,
    seed: int,
    also: tuple[str, ...],
    delivery: str,
    kafka: bool,
    mutate: str | None,
    keep: Path | None,
    as_json: bool,
) -> int:
    """Kill workers in the middle of a stream, and compare with a clean pass over the same log.

    Every order must be decided, with the same bytes if twice; the audit must add up, and the state be equal, byte by
    byte, to what one worker makes that nothing hits. Broker and store are embedded unless HEADRACE_KAFKA__BROKERS or
    HEADRACE_REDIS__URL names one of its own for this, empty. Exit 0: it holds; 1: it does not; 2: it could not run, or
    the kills met too little to prove anything.
    """
    from streams.chaos.plan import Kind, Plan, shuffled
    from streams.chaos.run import run
    from streams.chaos.site import build_site
    from streams.embedded.ending import ended_by_signals
    from streams.embedded.processes import Children

    faults = shuffled(kills, [Kind(name) for name in also], seed)
    plan = Plan(orders, workers, seed, faults, delivery, mutate or "", rollback_orders=max(100, orders // 5))
    with ended_by_signals(), Children(keep) as children:
        site = build_site(children, kafka=cache() if kafka else None)
        report = asyncio.run(run(plan, site, shop_events(orders, seed), lambda line: click.echo(line, err=True)))
        click.echo(json.dumps(report.as_dict()) if as_json else "\n".join(report.lines()))
        return 1 if report.problems else 2 if report.void else 0
    return 130


def shop_events(orders: int, seed: int) -> Events:
    """The stress shop of the last days, disturbed: about 3.2 events an order, 2 % of them copies."""
    from simulation.disturb import Disturbance, disturb
    from simulation.shop import Plan, Shop, until_orders
    from streams.chaos.run import Events
    from streams.data.live import arrivals

    start_ms = (int(time.time() * 1000) // DAY_MS - int(DAYS) - 1) * DAY_MS
    shop = Shop(Plan.stress(orders, seed=seed, days=DAYS), start_ms)

    def records() -> Iterator[Record]:
        yield from arrivals(disturb(until_orders(shop.events(), orders), Disturbance(garbage=GARBAGE), seed))

    return Events(records(), start_ms)


def cache() -> Path:
    """Where the jars of Apache Kafka are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headrace" / "kafka"
