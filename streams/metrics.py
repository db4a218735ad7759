"""What a worker tells Prometheus: one registry per process, fed once per range.

A range carries up to 2,000 events, so counters are raised and histograms filled from arrays: a `labels().observe()`
per event would cost more than scoring it. A worker that keeps up has hundreds of short ranges a second, so even what is
known of each is kept and counted together, at the latest when somebody looks. Label values come from closed sets
(topics of the registry, verdicts, reasons, stages), never from ids; a partition's gauges are removed when the
partition leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge

from streams.collectors import ArrayHistogram, BeforeALook

LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
FRESH_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86_400.0)
STAGE_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
SCORES = tuple(round(0.05 * i, 2) for i in range(1, 21))
BATCH = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class Metrics:
    """Every metric of a worker. Names follow Prometheus' conventions: base units, `_total` for counters."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        histogram = partial(ArrayHistogram, registry=registry)
        of_partition = ("topic", "partition")
        self.before_a_look = BeforeALook(registry)
        # records
        self.events_in = counter("headrace_events_in", "Records taken from input topics", ["topic"])
        self.events_out = counter("headrace_events_out", "Records published", ["topic"])
        self.dead = counter("headrace_dead_letters", "Records sent to a dead-letter topic", ["topic", "reason"])
        self.duplicates = counter("headrace_duplicates", "Records dropped as duplicates", ["topic"])
        self.late = counter("headrace_late", "Fresh events behind their record's timestamp by over a minute", ["topic"])
        self.joined = counter(
            "headrace_joined",
            "Records that meet those of another topic in one bag, by what they found there (a label: its order)",
            ["topic", "found"],
        )
        self.decisions = counter("headrace_decisions", "Decisions by action", ["action"])
        self.recovered = counter("headrace_recovered_decisions", "Decisions made again after a loss")
        # ranges
        self.repeated = counter("headrace_ranges_repeated", "Ranges that had been begun before", ["topic"])
        self.ranges = counter("headrace_ranges", "Ranges published", ["topic"])
        self.catchups = counter("headrace_catchup_ranges", "Ranges re-applied to a shard that had lost them", ["topic"])
        self.catching_up = gauge("headrace_catching_up", "1 while a shard behind home is caught up", of_partition)
        self.batch = histogram("headrace_range_events", "Records in a range", BATCH, "topic")
        # times
        self.stage = histogram("headrace_stage_seconds", "Time of a range in each stage", STAGE_S, "stage")
        self.latency = histogram(
            "headrace_latency_seconds", "Record timestamp to acknowledged decision", LATENCY_S, "topic"
        )
        self.freshness = histogram(
            "headrace_freshness_seconds",
            "Event time to acknowledged: how old an event is when the features of its entities know it",
            FRESH_S,
            "topic",
        )
        # state
        self.newest = gauge(
            "headrace_group_newest_event_seconds",
            "Event time, Unix seconds, of the newest event that this worker has added to bags of the group",
            ["group"],
        )
        self.group_keys = gauge("headrace_group_keys", "Bags of the group in the store, estimated from some", ["group"])
        self.group_bytes = gauge("headrace_group_bytes", "What they take in the store, estimated from some", ["group"])
        self.store_memory = gauge("headrace_store_memory_bytes", "Memory that the server uses", ["server"])
        self.store_limit = gauge("headrace_store_memory_limit_bytes", "Its maxmemory; 0: no limit", ["server"])
        # partitions
        self.lag = gauge("headrace_lag_records", "Records behind the end of the partition", of_partition)
        self.position = gauge("headrace_position", "Next offset of the partition", of_partition)
        self.still = gauge(
            "headrace_still_seconds",
            "For how long a partition has not moved though it could; the watchdog ends a worker that stands still",
        )
        self.exits = counter(
            "headrace_watchdog_exits",
            "Workers that their watchdog has ended, ever: each worker tells of all, as the store knows them",
        )
        self.window_ids = gauge("headrace_dedup_ids", "Event ids held to tell duplicates", of_partition)
        # the store, and what goes wrong
        self.store_calls = counter("headrace_store_calls", "Calls to the store", ["call"])
        self.store_trips = counter("headrace_store_round_trips", "Round trips, each with one call or more")
        self.store_errors = counter("headrace_store_errors", "Failed round trips to the store", ["kind"])
        self.backoffs = counter("headrace_backoffs", "Waits because a dependency was down", ["dependency"])
        self.swaps = counter("headrace_compactions", "Bags compacted")
        # what decides
        self.score = histogram("headrace_score", "Scores of fresh orders", SCORES)
        self.model = gauge("headrace_model_info", "1 for the configuration in use", ["model", "version", "config"])
        self.no_model = gauge("headrace_no_model", "1 while only rules decide, though a model is wanted")
        self.deployment = gauge(
            "headrace_deployment", "Number of the registry's deployment that new ranges are decided by"
        )
        self.champion_since = gauge(
            "headrace_champion_since_seconds",
            "Unix seconds at which the champion was put in force; 0 where none was ever promoted",
        )
        self.challengers = gauge("headrace_challengers", "Models that score in shadow")
        self.refused = gauge(
            "headrace_models_refused",
            "Models in force that are not used: cut off, for other features, or they failed when they scored",
        )
        self.registry_errors = counter("headrace_registry_errors", "Looks at the registry that failed")

    def published(self, counts: Mapping[str, int]) -> None:
        """Raises the counters of records published, by topic."""
        for topic, n in counts.items():
            self.events_out.labels(topic).inc(n)

    def configured(self, model: str, version: str, config: str, *, lacks_model: bool) -> None:
        """Names the one configuration that new ranges carry. `lacks_model`: one is wanted, and rules decide alone."""
        self.model.clear()
        self.model.labels(model, version, config).set(1)
        self.no_model.set(int(lacks_model))

    def left(self, topic: str, partition: int) -> None:
        """Removes the gauges of a partition that this worker no longer holds."""
        for gauge in (self.lag, self.position, self.window_ids, self.catching_up):
            gauge.remove(topic, str(partition))
