"""Apache Kafka for tests: the launcher of `headrace chaos`, with the jars in the checkout's own cache.

Without Java or its jars a suite skips with the reason, or fails where HEADRACE_REQUIRE names java.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from streams.chaos import kafka
from streams.chaos.kafka import Kafka
from streams.embedded.processes import Children, StartError
from tests.support.need import absent, need

__all__ = ["CACHE", "Kafka", "start_kafka"]

CACHE = Path(__file__).parents[2] / ".cache" / "kafka"


def start_kafka(
    children: Children,
    config: Mapping[str, str] | None = None,
    *,
    listeners: str = "",
    format_with: Sequence[str] = (),
) -> Kafka:
    """A fresh broker in the children's folder; `config` is added to, or replaces, the launcher's, as the rest is."""
    need("java")
    try:
        kafka.jars(CACHE)
    except StartError as error:
        absent("java", str(error))
    return kafka.start_kafka(children, CACHE, config, listeners=listeners, format_with=format_with)
