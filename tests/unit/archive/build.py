"""Files and records for tests of the archive: one function each, every field with a plain default."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from archive.columns import Row
from archive.names import File, Span
from archive.parquet import encode
from storage.places import Place

DAY_MS = 86_400_000
START_MS = 20_000 * DAY_MS  # 2024-10-04
DATE = "2024-10-04"


def span(first: int, last: int, date: str = DATE, topic: str = "orders", partition: int = 0) -> Span:
    return Span(topic, partition, first, last, date)


def file(first: int, last: int, size: int = 1, date: str = DATE) -> File:
    return File(span(first, last, date), size)


def row(offset: int, at_ms: int = START_MS, value: bytes | None = None) -> Row:
    """A record that its offset tells from all others."""
    said = orjson.dumps({"type": "purchase", "event_id": f"e{offset}", "user_id": "u"}) if value is None else value
    return Row(offset, at_ms, b"u", said, (("trace", b"t"), ("none", None)))


def put(place: Place, which: Span, rows: Sequence[Row] | None = None, topic_id: str = "id-1") -> File:
    """Commits a file of these rows, or of one for each offset."""
    content = encode(which, rows or [row(offset) for offset in range(which.first, which.last + 1)], topic_id)
    place.commit(which.path, content)
    return File(which, len(content))
