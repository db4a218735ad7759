"""Every name under which our processes tell Prometheus something."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from streams.archive.metrics import ArchiveMetrics
from streams.learner.metrics import LearnerMetrics
from streams.metrics import Metrics
from streams.parity.watch import ParityMetrics

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}


def metric_names() -> set[str]:
    """Of worker, archive, learner and parity's watch, as queries call them."""
    registry = CollectorRegistry()
    for metrics in (Metrics, ParityMetrics, LearnerMetrics, ArchiveMetrics):
        metrics(registry)
    families = list(registry.collect())
    told = {sample.name for family in families for sample in family.samples}
    return told | {family.name + suffix for family in families for suffix in ("", *SUFFIXES.get(family.type, ()))}
