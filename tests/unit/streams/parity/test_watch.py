"""What a watch tells Prometheus: what its rounds find adds up, also when a check begins anew; and how old that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from prometheus_client import CollectorRegistry

from streams.parity.check import Report
from streams.parity.tally import Tally
from streams.parity.watch import ParityMetrics


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def report(logged: Sequence[float], rebuilt: Sequence[float]) -> Report:
    tally = Tally(("a",))
    orders = [(f"o{n}", f"d{n}", n) for n in range(len(logged))]
    tally.compare(orders, np.array(logged)[:, None], np.array(rebuilt)[:, None])
    return Report(tally, None, {"recovered": 1}, 0, 0, 0)


def value(metrics: ParityMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_every_feature_is_there_before_anything_differs() -> None:
    """An increase is only seen where the counter was there before."""
    metrics = ParityMetrics(CollectorRegistry())
    metrics.round(report([1.0], [1.0]))
    assert value(metrics, "headrace_parity_compared_total") == 1
    assert value(metrics, "headrace_parity_mismatches_total", feature="a") == 0
    assert value(metrics, "headrace_parity_not_compared_total", why="recovered") == 1


def test_a_round_tells_what_it_found_beyond_the_one_before() -> None:
    metrics = ParityMetrics(CollectorRegistry())
    metrics.round(report([1.0, 2.0], [1.0, 3.0]))
    metrics.round(report([1.0, 2.0, 4.0], [1.0, 3.0, 5.0]))
    assert value(metrics, "headrace_parity_compared_total") == 3
    assert value(metrics, "headrace_parity_mismatches_total", feature="a") == 2


def test_a_check_that_begins_anew_counts_nothing_twice() -> None:
    metrics = ParityMetrics(CollectorRegistry())
    metrics.round(report([1.0, 2.0], [1.0, 3.0]))
    metrics.round(report([1.0], [1.0]))
    metrics.round(report([1.0, 2.0], [1.0, 3.0]))
    assert value(metrics, "headrace_parity_compared_total") == 2
    assert value(metrics, "headrace_parity_mismatches_total", feature="a") == 1


def test_the_age_grows_until_a_round_is_over() -> None:
    clock = Clock()
    metrics = ParityMetrics(CollectorRegistry(), clock)
    clock.now += 42
    assert value(metrics, "headrace_parity_age_seconds") == 42
    metrics.round(report([1.0], [1.0]))
    assert value(metrics, "headrace_parity_age_seconds") == 0
