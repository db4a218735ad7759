"""What the archive's process tells Prometheus. Labels are topics of the registry and partitions, never ids."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class ArchiveMetrics:
    """Every metric of `headrace archive`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        r = self.registry = registry
        self.rows = Counter("headrace_archive_rows", "Records in committed files", ["topic"], registry=r)
        self.bytes = Counter("headrace_archive_bytes", "Size of committed files", ["topic"], registry=r)
        self.files = Counter("headrace_archive_files", "Files committed", ["topic"], registry=r)
        self.lag = Gauge(
            "headrace_archive_lag_records",
            "Records that no file has yet",
            ["topic", "partition"],
            registry=r,
        )
        self.position = Gauge(
            "headrace_archive_position", "First offset that no file has yet", ["topic", "partition"], registry=r
        )
        self.oldest = Gauge(
            "headrace_archive_oldest_seconds", "For how long the oldest record in memory has waited", registry=r
        )
        self.held = Gauge("headrace_archive_held_bytes", "Records in memory", registry=r)
        self.errors = Counter(
            "headrace_archive_errors", "Tries that the place of the files refused", ["doing"], registry=r
        )
        self.merged = Counter("headrace_archive_merged_files", "Small files that became part of larger", registry=r)
        self.expired = Counter("headrace_archive_expired_files", "Files that retention removed", registry=r)

    def left(self, topic: str, partition: int) -> None:
        """Removes the gauges of a partition that this process no longer holds."""
        for gauge in (self.lag, self.position):
            gauge.remove(topic, str(partition))
