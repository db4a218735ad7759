"""Runs schedules: one seed each, in this process or several."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import repeat

from tests.simulation.mutations import MUTATIONS, NONE
from tests.simulation.promises import check
from tests.simulation.stores import Make, maker
from tests.simulation.world import Counts, build, live


@dataclass(slots=True)
class Report:
    schedules: int = 0
    broken: dict[int, str] = field(default_factory=dict)  # seed -> what it broke
    totals: Counter[str] = field(default_factory=Counter)

    def add(self, other: Report) -> None:
        self.schedules += other.schedules
        self.broken |= other.broken
        self.totals += other.totals


def schedule(seed: int, mutate: str | None = None, make: Make | None = None, shards: int | None = None) -> Counts:
    """One schedule, on memory if nothing makes another store; raises an AssertionError that names what broke."""
    mutation = MUTATIONS[mutate] if mutate else NONE
    world = build(random.Random(seed), replace(mutation, store=make) if make else mutation, shards)
    check(live(world))
    return world.counts


def schedules(
    first: int,
    count: int,
    mutate: str | None = None,
    store: str = "memory",
    shards: int | None = None,
    *,
    until_broken: bool = False,
) -> Report:
    """The seeds first..first + count - 1, one after the other, on a store out of `stores.STORES`.

    Without `shards` each schedule throws its own die for them.
    """
    report = Report()
    with maker(store, mutate) as make:
        for seed in range(first, first + count):
            report.schedules += 1
            try:
                report.totals.update(asdict(schedule(seed, mutate, make, shards)))
            except Exception as error:
                if mutate is None and not isinstance(error, AssertionError):
                    raise RuntimeError(f"schedule {seed} crashed") from error
                report.broken[seed] = f"{type(error).__name__}: {error}"
                if until_broken:
                    break
    return report


def in_parallel(first: int, count: int, mutate: str | None, store: str, shards: int | None, jobs: int) -> Report:
    """The same over `jobs` processes."""
    if jobs == 1:
        return schedules(first, count, mutate, store, shards)
    size = 100
    starts = list(range(first, first + count, size))
    counts = [min(size, first + count - start) for start in starts]
    report = Report()
    with ProcessPoolExecutor(jobs) as pool:
        for part in pool.map(schedules, starts, counts, repeat(mutate), repeat(store), repeat(shards)):
            report.add(part)
    return report
