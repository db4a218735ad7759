"""W3C trace context: what an event's producer calls the trace goes on to what is said of the event.

An order's `traceparent` is copied to its decision, so that a shop's tracing shows the two as one story, over Kafka and
our state. It is a header of the log, so a repeat has the same bytes. Dead letters keep it with all headers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schemas.records import Record

TRACEPARENT: Final = "traceparent"
MOST_BYTES: Final = 256  # a valid one of version 00 has 55; what is longer is not carried on


def traces_of(records: Sequence[Record]) -> list[bytes | None] | None:
    """(n,) the trace that each record belongs to; None where none does, which is the usual case and costs least."""
    if not any(record.headers for record in records):
        return None
    found = [_trace(record.headers) if record.headers else None for record in records]
    return found if any(found) else None


def _trace(headers: Sequence[tuple[str, bytes | None]]) -> bytes | None:
    for name, value in headers:
        if name == TRACEPARENT and value is not None and len(value) <= MOST_BYTES:
            return value
    return None
