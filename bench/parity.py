"""Parity at full size: 100,000 orders on Apache Kafka, workers killed and moved, then every vector is compared.

    python -m bench.parity                       # writes docs/figures/parity.json
    python -m bench.parity --orders 5000         # a try: nothing is written

Clicks, carts and labels beside the orders; 2 % of the events come twice, 5 % late, a tenth out of order. Two workers,
three SIGKILLs, and one stopped for three sessions, so that its partitions move away and back. Then all vectors are
compared with the replay in applied order, and a sample with the oracle of tests/oracle/. The price: some minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

from bench import figure
from bench.crash import CACHE
from schemas.settings import Settings
from simulation import shop
from simulation.disturb import Disturbance, disturb
from streams.chaos import plan as chaos
from streams.chaos.plan import Kind, shuffled
from streams.chaos.report import Report as Chaos
from streams.chaos.run import Events, run
from streams.chaos.site import build_site
from streams.data.live import arrivals
from streams.data.record import Record
from streams.embedded.ending import ended_by_signals
from streams.embedded.processes import Children
from streams.parity.check import Asked, Report
from streams.parity.once import once
from tests.oracle.parity import oracle

ORDERS, WORKERS, KILLS, SEED, SAMPLE = 100_000, 2, 3, 11, 250
DAYS, DAY_MS = 3.0, 86_400_000
NETWORK = Disturbance(copies=0.02, late=0.05, shuffled=0.10, garbage=0.002)


def events(orders: int) -> Events:
    """The stress shop of the last days, as a bad network delivers it."""
    start_ms = (int(time.time() * 1000) // DAY_MS - int(DAYS) - 1) * DAY_MS
    made = shop.Shop(shop.Plan.stress(orders, seed=SEED, days=DAYS), start_ms)

    def records() -> Iterator[Record]:
        yield from arrivals(disturb(shop.until_orders(made.events(), orders), NETWORK, SEED))

    return Events(records(), start_ms)


def measure(orders: int, sample: int, *, kafka: bool) -> tuple[Chaos, Report, dict[str, float]]:
    """The chaos run, what parity says of it, and what the check took."""
    plan = chaos.Plan(orders, WORKERS, SEED, shuffled(KILLS, [Kind.WORKER_STOP], SEED))
    found: list[tuple[Report, dict[str, float]]] = []

    async def compare(settings: Settings) -> None:
        _tell("comparing")
        alone, cpu_s = await _timed(settings, Asked())
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        both, with_oracle_s = await _timed(settings, Asked(sample=sample), with_oracle=True)
        assert alone.replay.compared == both.replay.compared
        spent = {"replay_cpu_s": cpu_s, "replay_orders_per_cpu_s": round(alone.replay.compared / cpu_s)}
        found.append((both, spent | {"replay_peak_mb": peak_mb, "with_oracle_cpu_s": with_oracle_s}))

    with Children() as children:
        site = build_site(children, kafka=CACHE if kafka else None)
        report = asyncio.run(run(plan, site, events(orders), _tell, compare))
    return report, *found[0]


async def _timed(settings: Settings, asked: Asked, *, with_oracle: bool = False) -> tuple[Report, float]:
    """A check, and the processor seconds that it took."""
    started = time.process_time()
    report = await once(settings, asked, oracle() if with_oracle else None)
    return report, round(time.process_time() - started, 1)


def _tell(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)


def value_of(ran: Chaos, report: Report, spent: dict[str, float]) -> dict[str, Any]:
    """What goes into the figure."""
    assert report.oracle is not None
    told = report.as_dict()
    return {
        "holds": report.holds and ran.holds and report.replay.compared - report.copies == ran.audit["decided"],
        "orders_decided": ran.audit["decided"],
        "compared": report.replay.compared,
        "copies": report.copies,
        "mismatches": report.replay.mismatches,
        "features": len(report.replay.names),
        "features_with_mismatches": report.wrong,
        "oracle": {"compared": report.oracle.compared, "mismatches": report.oracle.mismatches},
        "not_compared": told["not_compared"],
        "undecided": report.undecided,
        **spent,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=ORDERS)
    parser.add_argument("--sample", type=int, default=SAMPLE)
    parser.add_argument("--embedded", action="store_true", help="not on Apache Kafka: a quick try")
    a = parser.parse_args()
    with ended_by_signals():
        ran, report, spent = measure(a.orders, a.sample, kafka=not a.embedded)
        value = value_of(ran, report, spent)
        print("\n".join([*ran.lines(), *report.lines(), str(value)]), flush=True)
        if a.orders >= ORDERS and not a.embedded:
            sources = sorted((figure.ROOT / "simulation").glob("*.py"))
            target = {"holds": True, "mismatches": 0, "oracle mismatches": 0}
            command, features = "python -m bench.parity", report.as_dict()["features"]
            counts = {name: [one["compared"], one["mismatches"]] for name, one in features.items()}
            data_hash = figure.sha256(*sources)
            more = {"by_feature": counts, "chaos": ran.as_dict()}
            figure.write("parity", value=value, target=target, command=command, data_hash=data_hash, **more)
        return 0 if value["holds"] else 1
    return 130


if __name__ == "__main__":
    sys.exit(main())
