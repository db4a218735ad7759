"""The headers of a dead letter: key, value and headers as they came, and beside them why and where from.

A dead letter that is sent back and fails again counts its attempts; the rest of our headers is written anew, so that a
reader always sees the last failure. The price: a producer's own headers that begin with `dlq-` are taken for ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.decode import Fault

PREFIX = "dlq-"
REASON = "dlq-reason"
PATH = "dlq-path"
DETAIL = "dlq-detail"
TOPIC = "dlq-topic"
PARTITION = "dlq-partition"
OFFSET = "dlq-offset"
TIMESTAMP = "dlq-timestamp"  # of the record, epoch ms: what its event time was judged against
ATTEMPT = "dlq-attempt"

Headers = Sequence[tuple[str, bytes | None]]


def headers_of(
    fault: Fault, topic: str, partition: int, offset: int, timestamp_ms: int, original: Headers = ()
) -> tuple[tuple[str, bytes | None], ...]:
    """The record's own headers, then ours."""
    ours = {
        REASON: fault.reason.value,
        PATH: fault.path,
        DETAIL: fault.detail,
        TOPIC: topic,
        PARTITION: str(partition),
        OFFSET: str(offset),
        TIMESTAMP: str(timestamp_ms),
        ATTEMPT: str(attempt_of(original) + 1),
    }
    return *without_ours(original), *((name, text.encode()) for name, text in ours.items())


def without_ours(headers: Headers) -> list[tuple[str, bytes | None]]:
    """The headers that the producer wrote."""
    return [(name, value) for name, value in headers if not name.startswith(PREFIX)]


def attempt_of(headers: Headers) -> int:
    """How often this record has been a dead letter before; 0 where it has not, or where the header is nonsense."""
    value = next((value for name, value in headers if name == ATTEMPT), None) or b"0"
    return int(value) if value.isdigit() and len(value) < 10 else 0
