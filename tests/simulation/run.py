"""Runs schedules: one seed each, in this process or several."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import repeat

from tests.simulation.mutations import MUTATIONS, NONE
from tests.simulation.promises import check
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


def schedule(seed: int, mutate: str | None = None) -> Counts:
    """One schedule; raises an AssertionError that names the promise it broke."""
    world = build(random.Random(seed), MUTATIONS[mutate] if mutate else NONE)
    check(live(world))
    return world.counts


def schedules(first: int, count: int, mutate: str | None = None, *, until_broken: bool = False) -> Report:
    """The seeds first..first + count - 1, one after the other."""
    report = Report()
    for seed in range(first, first + count):
        report.schedules += 1
        try:
            report.totals.update(asdict(schedule(seed, mutate)))
        except Exception as error:
            if mutate is None and not isinstance(error, AssertionError):
                raise RuntimeError(f"schedule {seed} crashed") from error
            report.broken[seed] = f"{type(error).__name__}: {error}"
            if until_broken:
                break
    return report


def in_parallel(first: int, count: int, mutate: str | None, jobs: int) -> Report:
    """The same over `jobs` processes."""
    if jobs == 1:
        return schedules(first, count, mutate)
    size = 100
    starts = list(range(first, first + count, size))
    counts = [min(size, first + count - start) for start in starts]
    report = Report()
    with ProcessPoolExecutor(jobs) as pool:
        for part in pool.map(schedules, starts, counts, repeat(mutate)):
            report.add(part)
    return report
