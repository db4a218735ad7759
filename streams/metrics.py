"""What a worker tells Prometheus: one registry per process, fed once per range.

A range carries up to 2,000 events, so counters are raised and histograms filled from arrays: a `labels().observe()`
per event would cost more than scoring it. A worker that keeps up has hundreds of short ranges a second, so even what is
known of each is kept and counted together, at the latest when somebody looks. Label values come from closed sets
(topics of the registry, verdicts, reasons, stages), never from ids; a partition's gauges are removed when the
partition leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
FRESH_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86_400.0)
STAGE_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
SCORES = tuple(round(0.05 * i, 2) for i in range(1, 21))
BATCH = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class ArrayHistogram(Collector):
    """A Prometheus histogram that takes whole arrays: one searchsorted and one bincount a call."""

    def __init__(
        self, name: str, text: str, bounds: Sequence[float], registry: CollectorRegistry, label: str | None = None
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


class Metrics:
    """Every metric of a worker. Names follow Prometheus' conventions: base units, `_total` for counters."""

    def __init__(self, registry: CollectorRegistry) -> None:
        r = self.registry = registry
        self.before_a_look = BeforeALook(r)
        self.events_in = Counter("headrace_events_in", "Records taken from input topics", ["topic"], registry=r)
        self.events_out = Counter("headrace_events_out", "Records published", ["topic"], registry=r)
        self.dead = Counter(
            "headrace_dead_letters", "Records sent to a dead-letter topic", ["topic", "reason"], registry=r
        )
        self.duplicates = Counter("headrace_duplicates", "Records dropped as duplicates", ["topic"], registry=r)
        self.late = Counter(
            "headrace_late", "Fresh events behind their record's timestamp by over a minute", ["topic"], registry=r
        )
        self.joined = Counter(
            "headrace_joined",
            "Records that meet those of another topic in one bag, by what they found there (a label: its order)",
            ["topic", "found"],
            registry=r,
        )
        self.decisions = Counter("headrace_decisions", "Decisions by action", ["action"], registry=r)
        self.recovered = Counter("headrace_recovered_decisions", "Decisions made again after a loss", registry=r)
        self.repeated = Counter("headrace_ranges_repeated", "Ranges that had been begun before", ["topic"], registry=r)
        self.ranges = Counter("headrace_ranges", "Ranges published", ["topic"], registry=r)
        self.catchups = Counter(
            "headrace_catchup_ranges", "Ranges re-applied to a shard that had lost them", ["topic"], registry=r
        )
        self.catching_up = Gauge(
            "headrace_catching_up", "1 while a shard behind home is caught up", ["topic", "partition"], registry=r
        )
        self.batch = ArrayHistogram("headrace_range_events", "Records in a range", BATCH, r, "topic")
        self.stage = ArrayHistogram("headrace_stage_seconds", "Time of a range in each stage", STAGE_S, r, "stage")
        self.latency = ArrayHistogram(
            "headrace_latency_seconds", "Record timestamp to acknowledged decision", LATENCY_S, r, "topic"
        )
        self.freshness = ArrayHistogram(
            "headrace_freshness_seconds",
            "Event time to acknowledged: how old an event is when the features of its entities know it",
            FRESH_S,
            r,
            "topic",
        )
        self.newest = Gauge(
            "headrace_group_newest_event_seconds",
            "Event time, Unix seconds, of the newest event that this worker has added to bags of the group",
            ["group"],
            registry=r,
        )
        self.group_keys = Gauge(
            "headrace_group_keys", "Bags of the group in the store, estimated from some", ["group"], registry=r
        )
        self.group_bytes = Gauge(
            "headrace_group_bytes", "What they take in the store, estimated from some", ["group"], registry=r
        )
        self.score = ArrayHistogram("headrace_score", "Scores of fresh orders", SCORES, r)
        self.lag = Gauge(
            "headrace_lag_records", "Records behind the end of the partition", ["topic", "partition"], registry=r
        )
        self.position = Gauge("headrace_position", "Next offset of the partition", ["topic", "partition"], registry=r)
        self.window_ids = Gauge(
            "headrace_dedup_ids", "Event ids held to tell duplicates", ["topic", "partition"], registry=r
        )
        self.store_calls = Counter("headrace_store_calls", "Calls to the store", ["call"], registry=r)
        self.store_trips = Counter("headrace_store_round_trips", "Round trips, each with one call or more", registry=r)
        self.store_errors = Counter("headrace_store_errors", "Failed round trips to the store", ["kind"], registry=r)
        self.backoffs = Counter("headrace_backoffs", "Waits because a dependency was down", ["dependency"], registry=r)
        self.swaps = Counter("headrace_compactions", "Bags compacted", registry=r)
        self.model = Gauge(
            "headrace_model_info", "1 for the configuration in use", ["model", "version", "config"], registry=r
        )
        self.no_model = Gauge("headrace_no_model", "1 while only rules decide", registry=r)

    def published(self, counts: Mapping[str, int]) -> None:
        """Raises the counters of records published, by topic."""
        for topic, n in counts.items():
            self.events_out.labels(topic).inc(n)

    def configured(self, model: str, version: str, config: str) -> None:
        """Names the one configuration that new ranges carry."""
        self.model.clear()
        self.model.labels(model, version, config).set(1)
        self.no_model.set(0 if model else 1)

    def left(self, topic: str, partition: int) -> None:
        """Removes the gauges of a partition that this worker no longer holds."""
        for gauge in (self.lag, self.position, self.window_ids, self.catching_up):
            gauge.remove(topic, str(partition))


def process_registry() -> CollectorRegistry:
    """A registry of this process's own, with what Prometheus expects of any process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
