"""`python -m tests.simulation --schedules N --seed S --store KIND [--mutate NAME]`; exit 1 if a promise is broken."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.mutations import MUTATIONS
from tests.simulation.run import in_parallel
from tests.simulation.stores import MEMORY_ONLY, STORES

SHOWN = 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1, help="the first schedule's seed; the others follow")
    parser.add_argument("--store", choices=STORES, default=STORES[0], help="both: each answer held against the other's")
    parser.add_argument("--shards", type=int, help="so many in every schedule, instead of one to three")
    parser.add_argument("--mutate", choices=sorted(MUTATIONS), help="leave one rule out")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    args = parser.parse_args()
    if args.store != STORES[0] and args.mutate in MEMORY_ONLY:
        parser.error(f"--mutate {args.mutate} touches several shards at once: run it with --store {STORES[0]}")
    began = time.monotonic()
    report = in_parallel(args.seed, args.schedules, args.mutate, args.store, args.shards, args.jobs)
    print(f"{report.schedules} schedules in {time.monotonic() - began:.0f} s: {len(report.broken)} broken")
    print(", ".join(f"{count} {name}" for name, count in report.totals.items()))
    for seed, broken in list(report.broken.items())[:SHOWN]:
        print(f"  seed {seed}: {broken}")
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
