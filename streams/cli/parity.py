"""`headrace parity`: a feature means the same live and in history; here is the proof."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from streams.cli.replay import Moment
from streams.cli.running import foreground, overrides

if TYPE_CHECKING:
    from streams.parity.check import Asked, Report
    from streams.parity.oracle import Oracle

PLANTS = ("window", "label", "clock")
PLANTED_ORDERS, PLANTED_SEED = 1_000, 7


@click.command("parity")
@click.option("--from", "since", type=Moment(), help="Orders of event times from here on (UTC).")
@click.option("--to", "until", type=Moment(), help="Orders of event times before this (UTC).")
@click.option("--oracle", "module", metavar="MODULE", help="Compare with this oracle, too: tests.oracle.parity.")
@click.option("--sample", type=click.IntRange(min=1), default=500, show_default=True, help="Orders for the oracle.")
@click.option("--archive", is_flag=True, help="Read the archive of HEADRACE_ARCHIVE__URL in place of the topics.")
@click.option(
    "--settled",
    type=click.FloatRange(min=0),
    default=3600.0,
    show_default=True,
    help="With --archive: by how many seconds the files of one topic may be behind those of another.",
)
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C; what is found is told as metrics and in the log.")
@foreground
@click.option("--plant", type=click.Choice(PLANTS), help="Break a worker of its own on purpose: it must be found.")
@click.option("--kafka", is_flag=True, help="With --plant: on Apache Kafka, started here from its jars.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def command(
    since: int | None,
    until: int | None,
    module: str | None,
    sample: int,
    archive: bool,
    settled: float,
    watch: bool,
    metrics_port: int | None,
    log_format: str | None,
    plant: str | None,
    kafka: bool,
    as_json: bool,
) -> int:
    """Compare the vectors that were logged live with those that the log gives when it is replayed in applied order.

    Every value must be the same 64 bits. Exit 0: all are; 1: some are not, and the features are named; 2: it could not
    run, or there was nothing to compare.
    """
    from streams.parity.check import Asked
    from streams.parity.oracle import OracleError, load

    asked = Asked(since or 0, 2**62 if until is None else until, sample if module else 0)
    try:
        oracle = load(module) if module else None
    except OracleError as error:
        raise click.UsageError(str(error)) from error
    if watch:
        return _watch(asked, overrides(metrics_port, log_format))
    report = _planted(plant, kafka, asked, oracle) if plant else _once(asked, oracle, settled if archive else None)
    click.echo(json.dumps(report.as_dict()) if as_json else "\n".join(report.lines()))
    if report.wrong:
        click.echo(f"it does not hold: {', '.join(report.wrong[:20])}", err=True)
        return 1
    if not report.replay.compared:
        click.echo("there was nothing to compare", err=True)
        return 2
    return 0


def _once(asked: Asked, oracle: Oracle | None, settled_s: float | None) -> Report:
    """Of the topics, or of the archive where it is said when that has settled."""
    from schemas.settings import load
    from streams.parity.once import once, once_archived

    if settled_s is not None:
        return asyncio.run(once_archived(load(), asked, oracle, settled_s))
    return asyncio.run(once(load(), asked, oracle))


def _planted(plant: str, kafka: bool, asked: Asked, oracle: Oracle | None) -> Report:
    from streams.chaos.site import build_site
    from streams.cli.chaos import cache, shop_events
    from streams.embedded.ending import ended_by_signals
    from streams.embedded.processes import Children
    from streams.parity.planting import plant as run

    with ended_by_signals(), Children(None) as children:
        site = build_site(children, kafka=cache() if kafka else None)
        return asyncio.run(run(plant, site, shop_events(PLANTED_ORDERS, PLANTED_SEED), asked, oracle))
    raise click.Abort


def _watch(asked: Asked, given: dict[str, object]) -> int:
    from schemas.settings import load
    from streams.parity.watch import watch

    return watch(load(**given), asked)
