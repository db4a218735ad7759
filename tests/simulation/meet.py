"""Where the simulated flows meet: orders and labels name order ids out of a few, in records of features/orders.py.

A repeat of an event, which the log makes of its id, has the record of the first: both follow from the id alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import numpy as np

from features.columns import Columns
from features.join import Join
from features.orders import MEETING, Known, known_of, label_records, order_records, outcome_records
from schemas import events as shapes
from schemas.decode import decode_one
from schemas.ids import hash64
from schemas.timestamps import rfc3339

ORDER_IDS = 24
JOIN = Join(MEETING, "order", lambda columns: columns.events)


def ordered(rng: random.Random, event_id: int, at_ms: int) -> tuple[str, bytes]:  # noqa: ARG001
    """What an order leaves."""
    order_id = _order_id(event_id)
    order = shapes.Order(
        event_id=str(event_id),
        event_time=rfc3339(at_ms),
        user_id=f"u{event_id % 5}",
        order_id=order_id,
        value=1.0,
        currency="EUR",
        items=[shapes.Item("p", 1.0, 1)],
    )
    return order_id, _record(order_records, order, at_ms)


def labelled(rng: random.Random, event_id: int, at_ms: int) -> tuple[str, bytes]:  # noqa: ARG001
    """What a label leaves: fraud or the contrary."""
    order_id, fraud = _order_id(event_id // ORDER_IDS), bool(event_id >> 32 & 1)
    label = shapes.ReviewOutcome(event_id=str(event_id), event_time=rfc3339(at_ms), order_id=order_id, fraud=fraud)
    return order_id, _record(label_records, label, at_ms)


def read_back(value: bytes) -> tuple[int, tuple[str, bytes]]:
    """An outcome's id, and what it leaves."""
    outcome = decode_one("outcomes", value)
    return hash64(outcome.event_id), (outcome.order_id, _record(outcome_records, outcome, 0))  # type: ignore[union-attr]


def state(records: Iterable[bytes]) -> Known:
    """What a bag of these records says."""
    return known_of(MEETING.reduce(records))


def _order_id(number: int) -> str:
    return f"o{number % ORDER_IDS}"


def _record(records: Callable[[Columns], list[bytes]], event: object, at_ms: int) -> bytes:
    nothing = np.zeros(1, np.int64)
    return records(Columns(1, np.array([at_ms]), nothing, nothing, {}, {}, [event]))[0]
