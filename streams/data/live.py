"""Made-up events as records: joins a generator that knows no Kafka to a replay that knows no generator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from streams.data.record import Record


class Made(Protocol):
    """An event of a generator (`simulation.event.Event`)."""

    @property
    def send_ms(self) -> int: ...
    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> bytes: ...
    @property
    def value(self) -> bytes: ...


def arrivals(events: Iterable[Made]) -> Iterator[Record]:
    """Each event as a record dated by its arrival: what a producer that lived then would have sent."""
    for event in events:
        yield Record(event.topic, event.key, event.value, (), event.send_ms)
