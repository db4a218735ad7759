"""What `headrace learn` tells Prometheus. Labels are topics of the registry, partitions, models, never ids."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.matured import Matured

HOUR_S, DAY_S = 3_600, 86_400
DELAYS_S = (60, HOUR_S, 6 * HOUR_S, *(days * DAY_S for days in (1, 3, 7, 14, 30, 60, 90, 120, 150, 180)))
KIND = {0: "good", 1: "fraud"}


class LearnerMetrics:
    """Every metric of the process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        r = self.registry = registry
        self.active = Gauge("headrace_learner_active", "1 while this process learns, 0 while it stands by", registry=r)
        self.lag = Gauge(
            "headrace_learner_lag_records", "Records that are not read yet", ["topic", "partition"], registry=r
        )
        self.clock = Gauge("headrace_learner_clock_seconds", "Unix seconds up to which labels are settled", registry=r)
        self.orders = Gauge("headrace_learner_orders", "Orders whose labels are followed", registry=r)
        self.bytes = Gauge("headrace_learner_order_bytes", "What they take in memory", registry=r)
        self.due = Counter(
            "headrace_learner_due", "Records of `matured` written, by label and by what was said before",
            ["label", "was"], registry=r,
        )  # fmt: skip
        self.delay = Histogram(
            "headrace_learner_delay_seconds", "Event time of an order to its label", ["label"],
            buckets=DELAYS_S, registry=r,
        )  # fmt: skip
        self.lost = Counter(
            "headrace_learner_lost", "Labels that came for decisions which retention had deleted", registry=r
        )
        self.learned = Counter(
            "headrace_learner_learned", "Rows that were learned from", ["model", "label"], registry=r
        )
        self.skipped = Counter(
            "headrace_learner_skipped",
            "Rows that were made with other features than the model's",
            ["model"],
            registry=r,
        )
        self.snapshots = Counter(
            "headrace_learner_snapshots", "Snapshots by what became of them: kept, of these deployed, or kept back",
            ["model", "fate"], registry=r,
        )  # fmt: skip
        self.age = Gauge(
            "headrace_learner_snapshot_age_seconds", "Since the newest snapshot was put into the registry", ["model"],
            registry=r,
        )  # fmt: skip
        self.precision = Gauge(
            "headrace_learner_average_precision",
            "Of the newest rows, as they were scored when their orders came",
            ["model"],
            registry=r,
        )
        self.loss = Gauge("headrace_learner_log_loss", "Of the same rows and scores", ["model"], registry=r)
        self.frozen = Gauge(
            "headrace_learner_frozen", "1 where labels come and the model stays what it was", ["model"], registry=r
        )
        self.exploding = Gauge(
            "headrace_learner_exploding", "1 where the model is kept back: it scores far worse than the one before",
            ["model"], registry=r,
        )  # fmt: skip
        self.errors = Counter("headrace_learner_registry_errors", "Tries that the registry refused", registry=r)

    def released(self, rows: Sequence[Matured]) -> None:
        """Counts records of `matured`."""
        for row in rows:
            self.due.labels(KIND[row.label], "nothing" if row.was is None else KIND[row.was]).inc()
            self.delay.labels(KIND[row.label]).observe((row.due_ms - row.at_ms) / 1000)
