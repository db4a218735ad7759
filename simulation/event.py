"""One event of the simulated shop, encoded, with the truth about it.

Encoding happens once, where the event is made, so that a duplicate is the same bytes. The price: a caller who wants
a field of the body has to decode the value again; the three that callers want most travel beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

import orjson

Body = dict[str, Any]


class Truth(Enum):
    """What is behind an event. The values are names for reports; they are never part of an event."""

    NORMAL = "normal"
    CARD_TESTING = "card_testing"
    STOLEN_CARD = "stolen_card"
    DEVICE_RING = "device_ring"
    BOT = "bot"
    CART_STUFFING = "cart_stuffing"
    GARBAGE = "garbage"

    @property
    def fraud(self) -> bool:
        """Whether an order of this kind ends in a chargeback."""
        return self in (Truth.CARD_TESTING, Truth.STOLEN_CARD, Truth.DEVICE_RING)


class Event(NamedTuple):
    """An event as it reaches a topic: it happened at `at_ms` and arrives at `send_ms`."""

    at_ms: int
    send_ms: int
    topic: str
    key: bytes
    value: bytes
    truth: Truth
    event_id: str
    order_id: str | None = None
    copy: bool = False


class Mint:
    """Encodes events and gives them ids that differ for another seed, another start and another event."""

    def __init__(self, tag: str, rfc3339: Callable[[int], str]) -> None:
        self._tag = tag
        self._rfc3339 = rfc3339
        self._count = 0

    def event(self, topic: str, type_: str, at_ms: int, who: Body, body: Body, truth: Truth) -> Event:
        """`who` holds `user_id` or `visitor_id` and what the customer always sends; `body` what this event adds.

        A label may do without both: its key is then the order's id.
        """
        self._count += 1
        event_id = f"{self._tag}-{self._count:08x}"
        full = {"type": type_, "event_id": event_id, "event_time": self._rfc3339(at_ms), **who, **body}
        key = (who.get("user_id") or who.get("visitor_id") or body["order_id"]).encode()
        return Event(at_ms, at_ms, topic, key, orjson.dumps(full), truth, event_id, body.get("order_id"))

    def order_id(self) -> str:
        """An order's number, unique in the run."""
        self._count += 1
        return f"o-{self._tag}-{self._count:08x}"

    def session_id(self) -> str:
        """A session's name, unique in the run."""
        self._count += 1
        return f"s-{self._tag}-{self._count:08x}"
