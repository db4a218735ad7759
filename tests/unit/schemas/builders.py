"""Records for the tests of schemas/: a good order, and what makes it bad."""

from __future__ import annotations

import json
from typing import Any

ORDER: dict[str, Any] = {
    "type": "purchase",
    "event_id": "e-0123456789abcdef",
    "event_time": "2026-01-15T12:34:56.789Z",
    "user_id": "u-12345",
    "session_id": "s-1234567",
    "order_id": "o-123456789",
    "value": 129.97,
    "currency": "EUR",
    "items": [
        {
            "item_id": "sku-1001",
            "item_name": "Trail shoe",
            "item_category": "Shoes",
            "price": 89.99,
            "quantity": 1,
        },
        {"item_id": "sku-2002", "item_name": "Wool sock", "item_category": "Socks", "price": 19.99, "quantity": 2},
    ],
    "card_id": "c-0a1b2c3d4e5f",
    "device_id": "d-99887766",
    "ip": "203.0.113.77",
    "merchant_id": "m-12",
    "billing_country": "DE",
    "shipping_country": "DE",
    "payment_method": "card",
}
"""An order of about 600 bytes with all the fields of a usual shop."""

AT_MS = 1_768_480_496_789  # its event time

MINIMAL: dict[str, dict[str, Any]] = {
    "orders": {"order_id": "o", "value": 1, "currency": "EUR", "items": [{"item_id": "i", "price": 1, "quantity": 1}]},
    "clickstream": {},
    "cart": {},
    "labels": {"order_id": "o"},
    "outcomes": {"order_id": "o", "decision_id": "0" * 32, "turn": 1, "fraud": True, "delta": 1},
}
"""What each topic wants beside type, id, time and user."""


def order(**changes: Any) -> dict[str, Any]:
    """The good order with some fields changed."""
    return {**ORDER, **changes}


def without(*names: str) -> dict[str, Any]:
    """The good order with some fields missing."""
    return {name: value for name, value in ORDER.items() if name not in names}


def line(**changes: Any) -> dict[str, Any]:
    """The good order with one line, some of whose fields are changed."""
    return order(items=[{**ORDER["items"][0], **changes}])


def minimal(topic: str, kind: str) -> dict[str, Any]:
    """The least that an event of a topic must have."""
    usual = {"type": kind, "event_id": "e", "event_time": "2026-01-15T12:34:56Z", "user_id": "u"}
    return {**usual, **MINIMAL[topic], **({"fraud": True} if kind == "review_outcome" else {})}


def packed(record: Any, *, ascii_only: bool = True) -> bytes:
    """Compact JSON; Python writes NaN and Infinity as such, like many producers."""
    return json.dumps(record, separators=(",", ":"), ensure_ascii=ascii_only).encode()
