"""Orders wait for their labels: what an order leaves in the bag of its order id, what a label does, and what follows.

A record begins with a byte of version and kind. An order leaves its decision id, its time and the ids of its entities
as text, with a unit separator between them, which no id can hold: some 110 bytes for ids of 12 characters. A label
leaves its time, what it says, its id and its type. An outcome that came back leaves its turn. The state of an order is
that of its newest label by (event time, event id), so it is a function of the set of labels, however they came; its
turns in the bag are what was told of it. Where the two differ, the next turn is due.

That the turns told are read back is what makes this right after any loss: a store that forgot a label, or an order in
which labels were taken that is another one the second time, only leads to further turns, and the last one agrees.

What labels mean: a chargeback says fraud, whatever its reason code (a code is the card scheme's, and a shop that knows
better sends the review's outcome after it); `review_outcome` says what its `fraud` says; refunds and cancellations say
nothing. Of events that share an order id the first eight by time are followed, of an order's products the first ten.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from features.columns import Columns
from features.join import Join, Made, Meeting
from features.window import DAY_MS
from schemas import events as shapes
from schemas.outcomes import OUTCOMES, LabelNamed, Outcome, encode_outcome, outcome_id
from schemas.timestamps import rfc3339

KEEP_MS = 120 * DAY_MS  # card schemes take chargebacks for so long
MOST_ORDERS = 8  # of one order id: more are no orders but a shop that sends no real id
MOST_PRODUCTS = 10

VERSION = 1
ORDER, LABEL, TURN = (VERSION << 4 | kind for kind in (1, 2, 3))
_ORDER = struct.Struct("<B16sq")  # kind, decision id (schemas/ids.py), event ms; then the ids
_LABEL = struct.Struct("<B?q")  # kind, fraud, event ms; then event id and type
_TURN = struct.Struct("<B16sI")  # kind, decision id, turn
_BETWEEN = "\x1f"
_IDS = ("user_id", "visitor_id", "card_id", "device_id", "ip", "merchant_id")


class Ordered(NamedTuple):
    """An order's record."""

    at_ms: int
    decision: str
    ids: Mapping[str, str]
    products: tuple[str, ...]


class Labelled(NamedTuple):
    """A label's record. The newest is the largest."""

    at_ms: int
    event_id: str
    type: str
    fraud: bool


@dataclass(frozen=True, slots=True)
class Known:
    """All that a bag says."""

    orders: Sequence[Ordered]  # the first MOST_ORDERS by time
    label: Labelled | None  # the newest
    turns: Mapping[str, int]  # by decision id, how many were told

    @property
    def fraud(self) -> bool:
        return self.label is not None and self.label.fraud


# ---- records


def order_records(columns: Columns) -> list[bytes]:
    """What each order leaves; the visitor is left out where the user is known."""
    return [
        _ORDER.pack(ORDER, sha256(order.event_id.encode()).digest()[:16], at_ms) + _texts(order)
        for order, at_ms in zip(columns.events, columns.at_ms.tolist(), strict=True)
    ]


def _texts(order: Any) -> bytes:
    user = order.user_id
    items = order.items
    products = [items[0].item_id] if len(items) == 1 else list(dict.fromkeys([item.item_id for item in items]))
    return _BETWEEN.join(
        (
            user or "",
            "" if user else order.visitor_id or "",
            order.card_id or "",
            order.device_id or "",
            order.ip or "",
            order.merchant_id or "",
            *products[:MOST_PRODUCTS],
        )
    ).encode()


def label_records(columns: Columns) -> list[bytes]:
    """What each label leaves; b"" for those that say nothing of fraud."""
    return [_label(label, at_ms) for label, at_ms in zip(columns.events, columns.at_ms.tolist(), strict=True)]


def _label(label: Any, at_ms: int) -> bytes:
    says = statement(label)
    if says is None:
        return b""
    return _LABEL.pack(LABEL, says, at_ms) + f"{label.event_id}{_BETWEEN}{shapes.type_of(label)}".encode()


def statement(label: Any) -> bool | None:
    """Whether a label says fraud, says that it was none, or says nothing of it."""
    if isinstance(label, shapes.Chargeback):
        return True
    return label.fraud if isinstance(label, shapes.ReviewOutcome) else None


def outcome_records(columns: Columns) -> list[bytes]:
    """What each outcome leaves: its turn."""
    return [_TURN.pack(TURN, bytes.fromhex(one.decision_id), one.turn) for one in columns.events]


# ---- what they mean together


def reduce(records: Iterable[bytes]) -> list[bytes]:
    """The smallest list of records that means the same as the set of these."""
    orders: dict[bytes, bytes] = {}
    turns: dict[bytes, int] = {}
    labels: dict[Labelled, bytes] = {}
    for record in records:
        kind = record[0]
        if kind == ORDER:
            decision = record[1:17]
            orders[decision] = min(record, orders.get(decision, record))
        elif kind == LABEL:
            labels[_labelled(record)] = record
        elif kind == TURN:
            _, decision, turn = _TURN.unpack(record)
            turns[decision] = max(turn, turns.get(decision, 0))
        else:
            raise ValueError(f"a record of kind {kind:#x} in the bag of an order id: upgrade this worker")
    kept = sorted(orders.values(), key=_by_time)[:MOST_ORDERS]
    named = {record[1:17] for record in kept}
    strangers = sorted(decision for decision in turns if decision not in named)[:MOST_ORDERS]
    newest = [labels[max(labels)]] if labels else []
    told = [_TURN.pack(TURN, decision, turns[decision]) for decision in sorted({*named, *strangers} & turns.keys())]
    return [*kept, *newest, *told]


def _by_time(order: bytes) -> tuple[int, bytes]:
    return _ORDER.unpack_from(order)[2], order


def known_of(records: Iterable[bytes]) -> Known:
    """Reads reduced records."""
    orders, label, turns = [], None, {}
    for record in records:
        if record[0] == ORDER:
            orders.append(_ordered(record))
        elif record[0] == LABEL:
            label = _labelled(record)
        else:
            _, decision, turn = _TURN.unpack(record)
            turns[decision.hex()] = turn
    return Known(orders, label, turns)


def _ordered(record: bytes) -> Ordered:
    _, decision, at_ms = _ORDER.unpack_from(record)
    texts = record[_ORDER.size :].decode().split(_BETWEEN)
    ids = {name: text for name, text in zip(_IDS, texts, strict=False) if text}
    return Ordered(at_ms, decision.hex(), ids, tuple(texts[len(_IDS) :]))


def _labelled(record: bytes) -> Labelled:
    _, fraud, at_ms = _LABEL.unpack_from(record)
    event_id, type_ = record[_LABEL.size :].decode().split(_BETWEEN)
    return Labelled(at_ms, event_id, type_, fraud)


def due(order_id: str, records: Sequence[bytes]) -> dict[str, Made]:
    """The next turn of each order whose newest label is not what was told of it."""
    known = known_of(records)
    found = {}
    for order in known.orders:
        told = known.turns.get(order.decision, 0)
        if bool(told % 2) != known.fraud:
            made = _made(order_id, order, told + 1, known.label)
            found[made.name] = made
    return found


def _made(order_id: str, order: Ordered, turn: int, label: Labelled | None) -> Made:
    fraud = turn % 2 == 1
    name = outcome_id(order.decision, turn)
    outcome = Outcome(
        event_id=name,
        event_time=rfc3339(order.at_ms),
        order_id=order_id,
        decision_id=order.decision,
        turn=turn,
        fraud=fraud,
        delta=1 if fraud else -1,
        label=label and LabelNamed(label.event_id, label.type, rfc3339(label.at_ms)),
        products=order.products,
        **order.ids,
    )
    key = order.ids.get("user_id") or order.ids.get("visitor_id") or order_id
    return Made(name, key.encode(), encode_outcome(outcome))


def tell(records: Sequence[bytes]) -> dict[str, Any]:
    """What a bag says, for people. How often an order turned depends on the order of arrival and is left out."""
    known = known_of(records)
    label = known.label
    return {
        "orders": [
            {"decision_id": order.decision, "at_ms": order.at_ms, **order.ids, "products": list(order.products)}
            for order in known.orders
        ],
        "label": label and {"at_ms": label.at_ms, "event_id": label.event_id, "type": label.type, "fraud": label.fraud},
        "told": sorted(decision for decision, turn in known.turns.items() if turn % 2),
    }


MEETING = Meeting("order", OUTCOMES, KEEP_MS, reduce, due, tell)

OF_ORDERS = Join(MEETING, "order", order_records)
OF_LABELS = Join(MEETING, "order", label_records)
OF_OUTCOMES = Join(MEETING, "order", outcome_records)
