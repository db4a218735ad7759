"""Avro schemas of what a shop sends, for those who write it through a schema registry.

Drawn from the same structures as the JSON Schemas: a record for each `type`, a union of them where a topic has several.
`event_time` is a timestamp in milliseconds; amounts are doubles in major units, as in JSON; what may be missing is null
by default, so a field that is added later breaks nobody. `type` has its only value by default. The price: Avro cannot
say limits (how long an id is, how large an amount): the decoder behind it does, with the same dead letters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect

from schemas.jsonschema import SHAPES, members_of, write_each
from schemas.topics import TOPICS

NAMESPACE: Final = "headrace.events"
_TIME: Final = {"type": "long", "logicalType": "timestamp-millis"}
_PLAIN: Final = {
    inspect.StrType: "string",
    inspect.IntType: "long",
    inspect.FloatType: "double",
    inspect.BoolType: "boolean",
}


def schemas() -> dict[str, Any]:
    """The schema of each topic that the shop writes, by topic."""
    return {name: _of_topic(SHAPES[name]) for name, topic in TOPICS.items() if topic.writer == "the shop"}


def export(folder: Path) -> list[Path]:
    """Writes one file a topic; returns their paths."""
    return write_each(folder, ".avsc", schemas())


def _of_topic(shape: Any) -> Any:
    """A name is defined where it comes first and only named after that, as Avro wants it."""
    defined: set[str] = set()
    records = [_record(member, defined) for member in members_of(shape)]
    return records if len(records) > 1 else records[0]


def _record(shape: Any, defined: set[str]) -> Any:
    if shape.__name__ in defined:
        return f"{NAMESPACE}.{shape.__name__}"
    defined.add(shape.__name__)
    tag = shape.__struct_config__.tag
    types = msgspec.inspect.type_info(shape)
    assert isinstance(types, inspect.StructType)
    fields = [_field(one, defined) for one in types.fields]
    return {
        "type": "record",
        "name": shape.__name__,
        "namespace": NAMESPACE,
        "doc": (shape.__doc__ or "").strip(),
        "fields": [*([] if tag is None else [_tag(shape.__name__, tag)]), *fields],
    }


def _tag(name: str, tag: str) -> dict[str, Any]:
    return {"name": "type", "type": {"type": "enum", "name": f"{name}Type", "symbols": [tag]}, "default": tag}


def _field(one: inspect.Field, defined: set[str]) -> dict[str, Any]:
    if one.name == "event_time":
        return {"name": one.name, "type": _TIME}
    made: dict[str, Any] = {"name": one.name, "type": _type(one.type, defined)}
    return made if one.required else {**made, "default": None}


def _type(found: inspect.Type, defined: set[str]) -> Any:
    match found:
        case inspect.Metadata():
            return _type(found.type, defined)
        case inspect.UnionType():  # all of ours are something or nothing
            return ["null", *(_type(one, defined) for one in found.types if not isinstance(one, inspect.NoneType))]
        case inspect.ListType():
            return {"type": "array", "items": _type(found.item_type, defined)}
        case inspect.StructType():
            return _record(found.cls, defined)
    return _PLAIN[type(found)]
