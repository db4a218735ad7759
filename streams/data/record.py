"""A record on its way to a topic, and the key that every record of the shop is partitioned by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Headers = tuple[tuple[str, bytes], ...]

# In this order: a shop's own customer, else the browser; a label may know nothing but the order.
KEY_FIELDS = ("user_id", "visitor_id", "order_id")


class Record(NamedTuple):
    """`timestamp_ms` is the Kafka record's; None lets the client take its own clock. `partition` None: by key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None
    partition: int | None = None


def key_of(event: Mapping[str, Any]) -> bytes | None:
    """The record key of an event: `user_id`, else `visitor_id`, else `order_id`, UTF-8; None where it has none."""
    for field in KEY_FIELDS:
        name = event.get(field)
        if isinstance(name, str) and name:
            return name.encode()
    return None


def cloud_event_headers(event: Mapping[str, Any], source: str) -> Headers:
    """CloudEvents 1.0 in Kafka's binary mode: attributes as `ce_` headers, the value stays the event's own JSON."""
    event_id, type_, time = event.get("event_id"), event.get("type"), event.get("event_time")
    if not (isinstance(event_id, str) and event_id and isinstance(type_, str) and type_):
        return ()  # without an id and a type it is no CloudEvent
    at = (("ce_time", time.encode()),) if isinstance(time, str) else ()
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", type_.encode()),
        *at,
        ("content-type", b"application/json"),
    )
