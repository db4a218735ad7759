"""What a file of a topic holds: each record as it came, byte for byte, and beside it columns that can be queried.

`kafka_*` are the record: replays and anything that must be exact read those. The other columns are what the value says,
typed, so that DuckDB and Spark need not parse JSON; a value that does not say it (a dead letter's, one of a newer
version) has nulls there and loses nothing. Topics of somebody's own definitions have the `kafka_*` columns alone.
The price: what is typed is stored twice; compressed that is a fifth more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from archive.arrow import pa
from schemas.decisions import Anomaly, AppliedRow, Decision, DecisionLog
from schemas.deployments import Ref
from schemas.matured import Matured
from schemas.outcomes import Outcome
from schemas.records import Record
from schemas.sessions import SessionVector
from schemas.timestamps import epoch_ms

OFFSET, TIMESTAMP = "kafka_offset", "kafka_timestamp"
UTC_MS: Final = pa.timestamp("ms", tz="UTC")
TEXTS: Final = pa.list_(pa.string())
KAFKA: Final = (
    pa.field("kafka_partition", pa.int32(), nullable=False),
    pa.field(OFFSET, pa.int64(), nullable=False),
    pa.field(TIMESTAMP, UTC_MS, nullable=False),
    pa.field("kafka_key", pa.binary()),
    pa.field("kafka_headers", pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))),
    pa.field("kafka_value", pa.binary()),
)


class Row(NamedTuple):
    """A record as it comes out again."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class _Event(msgspec.Struct, gc=False):
    """Of any input: what can be asked of all of them, however wrong the rest is."""

    type: str | None = None
    event_id: str | None = None
    event_time: str | None = None
    user_id: str | None = None
    visitor_id: str | None = None
    session_id: str | None = None
    order_id: str | None = None
    value: float | None = None
    currency: str | None = None


class _Announced(msgspec.Struct):
    """Of topic `models`: a deployment, or a configuration."""

    type: str | None = None
    config: str | None = None
    number: int | None = None
    champion: Ref | None = None
    why: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A typed column. `time`: the value is a text that says when."""

    name: str
    kind: Any
    of: Callable[[Any], Any]
    time: bool = False


def _text(name: str) -> Column:
    return Column(name, pa.string(), attrgetter(name))


def _time(name: str) -> Column:
    return Column(name, UTC_MS, attrgetter(name), time=True)


def _of(name: str, kind: Any, at: str | None = None) -> Column:
    return Column(name, kind, attrgetter(at or name))


def _each(name: str, kind: Any) -> Column:
    return Column(name, kind, lambda record: list(getattr(record, name)))


def _pairs(name: str, kind: Any) -> Column:
    return Column(name, kind, lambda record: list(getattr(record, name).items()))


_WHO = (_text("user_id"), _text("visitor_id"))
_EVENT = (_text("type"), _text("event_id"), _time("event_time"), *_WHO, _text("session_id"), _text("order_id"))
_MODEL = (_of("model", pa.string(), "model.name"), _of("model_version", pa.string(), "model.version"))
_MADE_BY = (_text("config"), _text("feature_hash"), _of("recovered", pa.bool_()))
_SCORED = (_of("score", pa.float64()), _text("action"), _each("rules", TEXTS))
_REASONS = Column("reasons", TEXTS, lambda record: [reason.code for reason in record.reasons])
_PLACE = (_text("topic"), _of("partition", pa.int32()))

_INPUT = (_Event, _EVENT)
TYPED: Final[Mapping[str, tuple[Any, tuple[Column, ...]]]] = {
    "orders": (_Event, (*_EVENT, _of("value", pa.float64()), _text("currency"))),
    "clickstream": _INPUT,
    "cart": _INPUT,
    "labels": _INPUT,
    "fraud": (
        Decision,
        (
            *map(_text, ("decision_id", "order_id", "event_id")),
            *_WHO,
            _time("event_time"),
            *_SCORED,
            _REASONS,
            *_MODEL,
            *_MADE_BY,
        ),
    ),
    "decisions": (
        DecisionLog,
        (
            *map(_text, ("decision_id", "order_id", "event_id")),
            *_PLACE,
            _of("offset", pa.int64()),
            _of("at", UTC_MS, "at_ms"),
            _of("amount_minor", pa.int64()),
            _each("vector", pa.list_(pa.float64())),
            _pairs("members", pa.map_(pa.string(), pa.float64())),
            *_SCORED,
            _of("review_at", pa.float64(), "thresholds.review_at"),
            _of("block_at", pa.float64(), "thresholds.block_at"),
            *_MODEL,
            *_MADE_BY,
        ),
    ),
    "outcomes": (
        Outcome,
        (
            _text("event_id"),
            _time("event_time"),
            *_WHO,
            *map(_text, ("session_id", "order_id", "decision_id")),
            _of("turn", pa.int64()),
            _of("fraud", pa.bool_()),
            _of("delta", pa.int8()),
            Column("label_id", pa.string(), lambda record: record.label and record.label.event_id),
            Column("label_type", pa.string(), lambda record: record.label and record.label.type),
            *map(_text, ("card_id", "device_id", "ip", "merchant_id")),
            _each("products", TEXTS),
        ),
    ),
    "anomalies": (
        Anomaly,
        (
            *map(_text, ("anomaly_id", "kind", "event_id", "event_type")),
            _time("event_time"),
            *_WHO,
            _text("session_id"),
            _REASONS,
            _text("config"),
            _of("recovered", pa.bool_()),
        ),
    ),
    "matured": (
        Matured,
        (
            *map(_text, ("decision_id", "order_id", "event_id")),
            _of("at", UTC_MS, "at_ms"),
            _of("due", UTC_MS, "due_ms"),
            _of("label", pa.int8()),
            _text("label_type"),
            _of("was", pa.int8()),
            _of("turn", pa.int64()),
            _each("vector", pa.list_(pa.float64())),
            _text("feature_hash"),
            _of("partition", pa.int32()),
            _of("offset", pa.int64()),
            _of("score", pa.float64()),
            _pairs("members", pa.map_(pa.string(), pa.float64())),
        ),
    ),
    "sessions": (
        SessionVector,
        (
            *map(_text, ("session_id", "event_id")),
            _of("events", pa.int64()),
            _of("at", UTC_MS, "at_ms"),
            *_PLACE,
            _of("offset", pa.int64()),
            _each("vector", pa.list_(pa.float64())),
            _of("score", pa.float64()),
            *_MADE_BY,
        ),
    ),
    "applied": (
        AppliedRow,
        (
            *_PLACE,
            _text("topic_id"),
            _of("first", pa.int64()),
            _of("last", pa.int64()),
            _text("config"),
            _pairs("exceptions", pa.map_(pa.string(), pa.list_(pa.int64()))),
            _each("numbers", pa.list_(pa.int64())),
            _of("recovered", pa.bool_()),
            _of("horizon", pa.int64()),
            _of("version", pa.int32()),
        ),
    ),
    "models": (
        _Announced,
        (
            *map(_text, ("type", "config")),
            _of("number", pa.int64()),
            Column("champion", pa.string(), lambda record: record.champion and record.champion.name),
            Column("champion_version", pa.string(), lambda record: record.champion and record.champion.version),
            *map(_text, ("why", "by")),
        ),
    ),
}


def schema_of(topic: str, metadata: Mapping[str, str] | None = None) -> Any:
    """The Arrow schema of a topic's files."""
    _, columns = TYPED.get(topic, (None, ()))
    return pa.schema([*KAFKA, *(pa.field(column.name, column.kind) for column in columns)], metadata=metadata)


def table_of(topic: str, partition: int, records: Sequence[Record]) -> Any:
    """(n,) records of a partition, by offset -> a table of `schema_of(topic)`; nothing in a value makes it fail."""
    kind, columns = TYPED.get(topic, (None, ()))
    values = [record.value for record in records]
    own = [
        pa.array([partition] * len(records), pa.int32()),
        pa.array([record.offset for record in records], pa.int64()),
        pa.array([record.timestamp for record in records], UTC_MS),
        pa.array([record.key for record in records], pa.binary()),
        pa.array([[*record.headers] for record in records], KAFKA[4].type),
        pa.array(values, pa.binary()),
    ]
    said = _said(kind, values) if columns else []
    return pa.Table.from_arrays([*own, *(_typed(column, said) for column in columns)], schema=schema_of(topic))


def records_of(batch: Any) -> list[Row]:
    """The records of a batch or table, byte for byte as they came."""
    names = (OFFSET, TIMESTAMP, "kafka_key", "kafka_value", "kafka_headers")
    offsets, times, keys, values, headers = (batch.column(batch.schema.names.index(name)) for name in names)
    return [
        Row(offset, at_ms, key, value, tuple((one["name"], one["value"]) for one in headed))
        for offset, at_ms, key, value, headed in zip(
            offsets.to_pylist(),
            times.cast(pa.int64()).to_pylist(),
            keys.to_pylist(),
            values.to_pylist(),
            headers.to_pylist(),
            strict=True,
        )
    ]


def cut(batch: Any, first: int, last: int) -> Any:
    """The rows of offsets first..last; the batch is in offset order."""
    begin, end = np.searchsorted(np.asarray(batch.column(OFFSET)), [first, last + 1]).tolist()
    return batch.slice(begin, end - begin)


def _said(kind: Any, values: Sequence[bytes | None]) -> list[Any]:
    """What each value says; None for one that cannot be read."""
    decode, said = msgspec.json.Decoder(kind).decode, list[Any]()
    for value in values:
        try:
            said.append(None if value is None else decode(value))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            said.append(None)
    return said


def _typed(column: Column, said: Sequence[Any]) -> Any:
    values = [None if one is None else column.of(one) for one in said]
    if column.time:
        values = _times(values)
    try:
        return pa.array(values, column.kind)
    except (OverflowError, pa.ArrowException):  # a number that no column can hold: that one is null
        return pa.array([value if _fits(value, column.kind) else None for value in values], column.kind)


def _fits(value: Any, kind: Any) -> bool:
    try:
        pa.array([value], kind)
    except (OverflowError, pa.ArrowException):
        return False
    return True


def _times(texts: Sequence[str | None]) -> list[int | None]:
    at_ms, bad = epoch_ms([text or "" for text in texts])
    return [None if wrong else at for at, wrong in zip(at_ms.tolist(), bad.tolist(), strict=True)]
