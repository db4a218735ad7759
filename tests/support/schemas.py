"""A schema registry in memory, and values as its serialisers write them: by fastavro, behind the frame."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import Any

import fastavro

from schemas.avro import schemas
from streams.formats.schema import Schema, SchemasDown


@dataclass
class Kept:
    """`streams.formats.schema.Schemas` without a server."""

    schemas: dict[int, Schema] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    away: bool = False

    def __call__(self, number: int) -> Schema | None:
        self.asked.append(number)
        self.check()
        return self.schemas.get(number)

    def check(self) -> None:
        if self.away:
            raise SchemasDown("it is away")

    def keep(self, schema: Any, kind: str = "AVRO", *references: Schema) -> int:
        """Its id."""
        number = len(self.schemas) + 1
        self.schemas[number] = Schema(kind, json.dumps(schema), references)
        return number


def framed(number: int, payload: bytes) -> bytes:
    return b"\x00" + number.to_bytes(4, "big") + payload


def avro(number: int, schema: Any, record: Any) -> bytes:
    """A record as Confluent's serialiser would write it."""
    written = BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(json.loads(json.dumps(schema))), record)
    return framed(number, written.getvalue())


def as_written(topic: str, event: Mapping[str, Any]) -> Any:
    """An event as a program with our Avro schema has it: its time is a time, its shape is named in a union."""
    record = {**event, "event_time": datetime.fromisoformat(event["event_time"])}
    schema = schemas()[topic]
    if isinstance(schema, dict):
        return record
    name = next(one["name"] for one in schema if one["fields"][0]["default"] == event["type"])
    return (f"headrace.events.{name}", record)
