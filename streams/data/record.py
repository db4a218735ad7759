"""A record on its way to a topic, and the key that every record of the shop is partitioned by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from schemas.cloudevents import Headers

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
