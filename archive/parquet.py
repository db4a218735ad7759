"""A file's bytes: what the columns are packed into, and what the footer says of them.

Row groups are cut by bytes, so that a reader of one file holds some megabytes and no more. zstd: a third smaller than
snappy on JSON at the same speed of reading. The footer states topic, partition, the offsets covered, the broker's id of
the topic (one that was made anew has another), the range of the records' timestamps, and of `decisions` which features
the vector's numbers are.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from archive.arrow import pa, parquet
from archive.columns import schema_of, table_of
from archive.errors import ArchiveError
from archive.names import Span
from schemas.records import Record

VERSION: Final = 1
GROUP_BYTES: Final = 8_000_000  # of keys and values in a row group, before compression
GROUP_ROWS: Final = 65_536
ZSTD_LEVEL: Final = 3
RAW: Final = ("kafka_key", "kafka_value")  # hardly a value twice: a dictionary of them would be the column again


@dataclass(frozen=True, slots=True)
class About:
    """What the footer says."""

    topic: str
    partition: int
    first: int
    last: int
    topic_id: str
    least_ms: int
    most_ms: int
    vector: Mapping[str, Sequence[str]]  # names of the vector's features, by feature_hash

    def metadata(self) -> dict[str, str]:
        facts = {
            "version": VERSION,
            "topic": self.topic,
            "partition": self.partition,
            "first": self.first,
            "last": self.last,
            "topic_id": self.topic_id,
            "least_ms": self.least_ms,
            "most_ms": self.most_ms,
            "vector": dict(self.vector),
        }
        return {"headrace": orjson.dumps(facts).decode()}


def about(file: Any, path: str) -> About:
    """What the footer of an open file says; raises ArchiveError where no archive of ours wrote it."""
    said = (file.schema_arrow.metadata or {}).get(b"headrace")
    if said is None:
        raise ArchiveError(f"{path} is none of the archive's files: take it out of the folder")
    facts = orjson.loads(said)
    version = facts.pop("version")
    if version > VERSION:
        raise ArchiveError(f"{path} has version {version}, this Headrace reads up to {VERSION}: upgrade it")
    return About(**facts)


def size_of(record: Record) -> int:
    """What a record counts for in buffers, in bytes."""
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def encode(
    span: Span, records: Sequence[Record], topic_id: str, vector: Mapping[str, Sequence[str]] | None = None
) -> bytes:
    """The file of at least one record."""
    times = [record.timestamp for record in records]
    facts = About(
        span.topic, span.partition, span.first, span.last, topic_id, min(times), max(times), dict(vector or {})
    )
    out = io.BytesIO()
    with writer(out, facts) as into:
        for part in _groups(records):
            into.write_table(table_of(span.topic, span.partition, part))
    return out.getvalue()


def writer(out: Any, facts: About) -> Any:
    """A pyarrow ParquetWriter on a path or a file; each table that it is given becomes a row group."""
    schema = schema_of(facts.topic, facts.metadata())
    named = [name for name in schema.names if name not in RAW]
    return parquet.ParquetWriter(
        out, schema, compression="zstd", compression_level=ZSTD_LEVEL, use_dictionary=named, write_page_index=True
    )


def _groups(records: Sequence[Record]) -> Iterable[Sequence[Record]]:
    begin, size = 0, 0
    for at, record in enumerate(records):
        size += size_of(record)
        if size >= GROUP_BYTES or at + 1 - begin == GROUP_ROWS:
            yield records[begin : at + 1]
            begin, size = at + 1, 0
    if begin < len(records):
        yield records[begin:]


def opened(file: Any, path: str) -> Any:
    """A pyarrow ParquetFile; raises ArchiveError for what is no Parquet, or was cut off."""
    try:
        return parquet.ParquetFile(file)
    except pa.ArrowInvalid as error:
        raise ArchiveError(f"{path} cannot be read as Parquet ({error}): was it changed by hand?") from error
