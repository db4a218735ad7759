"""Avro to JSON: one value by one schema, the logical types as our events have them.

timestamp-millis and -micros become RFC 3339, a decimal a number, a uuid text. A schema that could harm a worker is
refused for all its values: one that refers to itself, since the reader of Avro recurses without looking at its stack,
and lists or records of what takes no bytes, since five bytes may then stand for a thousand million of it. The price: a
value is made a dict, then text, then an event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import Any

import msgspec

from schemas.frames import FRAME_BYTES
from schemas.timestamps import rfc3339
from streams.formats.schema import Schema

Read = Callable[[bytes], bytes]  # a framed value -> JSON; raises UnfitError


class UnfitError(ValueError):
    """A value is not what its schema says."""


class BadSchemaError(ValueError):
    """A schema by which nothing is read."""


_encode = msgspec.json.Encoder(decimal_format="number").encode


def reader_of(schema: Schema) -> Read:
    """What reads the values of a schema; raises BadSchemaError where that is nothing."""
    if schema.kind == "JSON":
        return _after_frame
    if schema.kind != "AVRO":
        raise BadSchemaError(f"a schema of kind {schema.kind}: want AVRO or JSON")
    from fastavro import schemaless_reader
    from fastavro.schema import SchemaParseException, UnknownType, parse_schema

    named: dict[str, Any] = {}
    try:
        for reference in _in_turn(schema):
            parsed = parse_schema(msgspec.json.decode(reference.text), named_schemas=named)
        _Walk(named).takes_bytes(parsed)
    except (SchemaParseException, UnknownType, msgspec.DecodeError, RecursionError, KeyError, TypeError) as error:
        raise BadSchemaError(f"a schema that cannot be used: {type(error).__name__} {error}"[:200]) from error

    def read(value: bytes) -> bytes:
        bytes_ = BytesIO(value)
        bytes_.seek(FRAME_BYTES)
        try:
            found: Any = schemaless_reader(bytes_, parsed, None)
        except Exception as error:  # whatever a library makes of a stranger's bytes
            raise UnfitError(f"{type(error).__name__} {error}"[:200]) from error
        if bytes_.tell() != len(value):
            raise UnfitError(f"{len(value) - bytes_.tell()} bytes are left behind it")
        return _json(found)

    return read


def _after_frame(value: bytes) -> bytes:
    return value[FRAME_BYTES:]


def _in_turn(schema: Schema) -> list[Schema]:
    """What a schema needs, before itself."""
    return [*(each for reference in schema.references for each in _in_turn(reference)), schema]


def _json(found: Any) -> bytes:
    at = found.get("event_time") if isinstance(found, dict) else None
    if isinstance(at, datetime) and at.tzinfo is not None and at.microsecond % 1000 == 0:  # finer times stay fine
        found["event_time"] = rfc3339(round(at.timestamp() * 1000))
    try:
        return _encode(found)
    except (TypeError, ValueError) as error:
        raise UnfitError(f"{type(error).__name__} {error}"[:200]) from error


@dataclass(slots=True)
class _Walk:
    """Looks at a schema whole, each named part once."""

    named: Mapping[str, Any]
    done: dict[str, bool] = field(default_factory=dict)
    within: list[str] = field(default_factory=list)

    def takes_bytes(self, schema: Any) -> bool:
        """Whether each value of it takes a byte; raises BadSchemaError where one could take the worker with it."""
        if isinstance(schema, list):
            for one in schema:
                self.takes_bytes(one)
            return True  # the number of the branch
        if isinstance(schema, str):
            return self.takes_bytes(self.named[schema]) if schema in self.named else schema != "null"
        kind = schema["type"]
        if not isinstance(kind, str):
            return self.takes_bytes(kind)
        if kind in ("record", "error"):
            return self._record(schema)
        if kind == "array" and not self.takes_bytes(schema["items"]):
            raise BadSchemaError("a schema with lists of what takes no bytes")
        if kind == "map":
            self.takes_bytes(schema["values"])
        return self.takes_bytes(kind) if kind in self.named else kind != "null" and bool(schema.get("size", 1))

    def _record(self, schema: Any) -> bool:
        name, fields = schema["name"], schema["fields"]
        if name in self.within:
            raise BadSchemaError(f"a schema that refers to itself: {name}")
        if name not in self.done:
            self.within.append(name)
            taking = [self.takes_bytes(one["type"]) for one in fields]  # all are looked at
            self.done[name] = any(taking)
            self.within.pop()
        if fields and not self.done[name]:  # records of such records grow by doubling, out of nothing
            raise BadSchemaError(f"a schema with a record that takes no bytes: {name}")
        return self.done[name]
