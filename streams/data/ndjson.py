"""A file of events, one JSON object a line, as a data set: the bytes of each line are replayed as they stand.

Lines are expected by time, as a topic that was consumed is; one that lies back in time is sent where it stands, late,
as it was. The topic of a line is its `type`'s, or the one topic that the caller names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import orjson

from schemas import events
from schemas.cloudevents import headers_of
from schemas.timestamps import epoch_ms
from schemas.topics import INPUTS
from streams.data.dataset import DataError, Window
from streams.data.record import Record, key_of

SOURCE = "/headrace/replay/file"


@dataclass(frozen=True, slots=True)
class Lines:
    """Events in a file; `topic` None: each goes to its type's topic."""

    path: Path
    topic: str | None = None

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def topics(self) -> tuple[str, ...]:
        return INPUTS if self.topic is None else (self.topic,)

    @property
    def span_ms(self) -> tuple[int, int] | None:
        """Unknown before the file is read."""
        return None

    def records(self, window: Window) -> Iterator[Record]:
        """The lines whose event time is in the window; raises DataError for one that has none."""
        with self.path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                line = raw.strip()
                if not line:
                    continue
                event, at_ms = self._read(number, line)
                if window.holds(at_ms):
                    topic = self.topic or self._topic(number, event)
                    yield Record(topic, key_of(event), line, headers_of(event, SOURCE), at_ms)

    def _read(self, number: int, line: bytes) -> tuple[dict[str, Any], int]:
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise self._bad(number, f"not JSON ({error})") from None
        if not isinstance(event, dict):
            raise self._bad(number, "not a JSON object")
        at_ms, bad = epoch_ms([str(event.get("event_time"))])
        if bad[0]:
            raise self._bad(number, f"event_time {event.get('event_time')!r} is no RFC 3339 time")
        return event, int(at_ms[0])

    def _topic(self, number: int, event: dict[str, Any]) -> str:
        topic = topics_by_type().get(str(event.get("type")))
        if topic is None:
            raise self._bad(number, f"type {event.get('type')!r} belongs to no input topic; name one with --topic")
        return topic

    def _bad(self, number: int, what: str) -> DataError:
        return DataError(f"{self.path} line {number}: {what}; `headrace produce TOPIC --raw` sends lines as they stand")


@cache
def topics_by_type() -> dict[str, str]:
    """The input topic of every event type."""
    shapes = {
        "orders": (events.Order,),
        "clickstream": get_args(events.Clickstream),
        "cart": get_args(events.Carts),
        "labels": get_args(events.Labels),
    }
    return {str(shape.__struct_config__.tag): topic for topic, members in shapes.items() for shape in members}
