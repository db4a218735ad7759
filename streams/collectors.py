"""Collectors that Prometheus' client has none of: a histogram fed with arrays, and a word before every look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector


class ArrayHistogram(Collector):
    """A Prometheus histogram that takes whole arrays: one searchsorted and one bincount a call."""

    def __init__(
        self, name: str, text: str, bounds: Sequence[float], label: str | None = None, *, registry: CollectorRegistry
    ) -> None:
        self.name, self.text, self.label = name, text, label
        self.bounds = np.asarray(bounds, dtype=np.float64)
        self.counts: dict[str, npt.NDArray[np.int64]] = {}
        self.sums: dict[str, float] = {}
        registry.register(self)

    def observe(self, values: npt.NDArray[np.float64], label: str = "") -> None:
        """Adds (n,) values; n may be 0."""
        if not values.size:
            return
        size = self.bounds.size + 1
        counts = np.bincount(np.searchsorted(self.bounds, values), minlength=size)
        self.counts[label] = self.counts.get(label, np.zeros(size, np.int64)) + counts
        self.sums[label] = self.sums.get(label, 0.0) + float(values.sum())

    def describe(self) -> Iterable[Metric]:
        return [self._family()]

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self.name, self.text, labels=[self.label] if self.label else [])

    def collect(self) -> Iterable[Metric]:
        family = self._family()
        for label, counts in list(self.counts.items()):
            running = np.cumsum(counts)
            buckets = [(f"{bound:g}", float(n)) for bound, n in zip(self.bounds, running, strict=False)]
            buckets.append(("+Inf", float(running[-1])))
            family.add_metric([label] if self.label else [], buckets, sum_value=self.sums[label])
        yield family


class BeforeALook(Collector):
    """The first collector of a registry: gives nothing, and lets `steps` count first what is kept."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.steps: list[Callable[[], None]] = []
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        for step in self.steps:
            step()
        return ()


def process_registry() -> CollectorRegistry:
    """A registry of this process's own, with what Prometheus expects of any process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
