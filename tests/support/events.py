"""Events as a shop sends them, for tests that run workers: one function per topic, every field with a plain default.

Cards, devices and addresses belong to one user each unless a test says otherwise: then what is decided of a user does
not depend on how partitions take turns, and two runs can be compared byte for byte.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson

from schemas.timestamps import rfc3339
from streams.data.record import Record

START_MS = round(time.time()) * 1000 - 3_600_000  # an hour ago: topics keep some months, and late is 30 days
HEADERS = (("trace", b"t-1"), ("empty", b""))


def order_body(name: str, user: str = "u", after_ms: int = 0, **more: Any) -> dict[str, Any]:
    """A purchase of 30.5 euros by `user`, so long after START_MS; its ids are made from `name`."""
    return {
        "type": "purchase",
        "event_id": f"e-{name}",
        "event_time": rfc3339(START_MS + after_ms),
        "user_id": user,
        "session_id": f"s-{user}",
        "order_id": f"o-{name}",
        "value": 30.5,
        "currency": "EUR",
        "items": [{"item_id": "p-1", "item_name": "Lamp", "item_category": "Home", "price": 15.25, "quantity": 2}],
        "card_id": f"c-{user}",
        "device_id": f"d-{user}",
        "ip": f"ip-{user}",
        "merchant_id": f"m-{user}",
        **more,
    }


def order(name: str, user: str = "u", after_ms: int = 0, **more: Any) -> Record:
    """The same as a record, dated by its event."""
    return record("orders", order_body(name, user, after_ms, **more), START_MS + after_ms)


def event(topic: str, type_: str, name: str, user: str = "u", after_ms: int = 0, **more: Any) -> Record:
    """An event of another topic, of the user's one session."""
    body = {
        "type": type_,
        "event_id": f"e-{name}",
        "event_time": rfc3339(START_MS + after_ms),
        "user_id": user,
        "session_id": f"s-{user}",
        **more,
    }
    return record(topic, body, START_MS + after_ms)


def record(topic: str, body: dict[str, Any], at_ms: int) -> Record:
    """A body under the key of its user."""
    return Record(topic, str(body["user_id"]).encode(), orjson.dumps(body), HEADERS, at_ms)


def orders(count: int, users: int = 20, name: str = "n", every_ms: int = 250) -> list[Record]:
    """Orders of several users in turn, with amounts that differ."""
    return [
        order(f"{name}{n}", f"u{n % users}", n * every_ms, value=round(5 + (n * 7919 % 1000) / 10, 2))
        for n in range(count)
    ]


def of_topic(records: Sequence[Record], topic: str) -> list[Record]:
    return [record for record in records if record.topic == topic]
