"""Outcomes: what became of an order, with the order's own ids, as often as that turns.

A label carries an order id, and says so weeks later; what a model learns from are the card, the device, the product of
that order. An outcome has both. It is the `turn`-th change of what is known of one order: odd turns say fraud, even
ones take it back, so deltas alternate between +1 and -1 and their sum over the turns known so far is what the newest
label says. Its id is made of the order's decision id and the turn: the same turn told again is the same outcome, and is
dropped by its id wherever it comes from. The label named is the one that told: a copy made after a store had lost its
tail may name another one, and says the same of the order.

The price: the worker reads what it writes, and an order whose labels contradict each other turns more than once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.decisions import encode
from schemas.events import Event, Id, Time

OUTCOMES = "outcomes"

DecisionId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Turn = Annotated[int, Meta(ge=1, le=2**31)]


class LabelNamed(Struct, gc=False, frozen=True):
    """The label that an outcome follows from."""

    event_id: Id
    type: str
    event_time: Time


class Outcome(Event, gc=False, frozen=True, tag="outcome", kw_only=True):
    """A record of `outcomes`. `event_time` is the order's; `event_id` is `decision_id`, a hyphen and `turn`."""

    order_id: Id
    decision_id: DecisionId  # of the order: its vector is in `decisions` under this id
    turn: Turn  # 1, 2, ...: how often what is known of this order has changed
    fraud: bool  # what is known from now on: true for odd turns
    delta: Literal[1, -1]  # what that adds to a count of known frauds
    label: LabelNamed | None = None  # none: the only label that said so is not there any more
    card_id: Id | None = None
    device_id: Id | None = None
    ip: Id | None = None
    merchant_id: Id | None = None
    products: Sequence[Id] = ()

    @property
    def currency(self) -> None:
        """An outcome has no money of its own."""
        return


def outcome_id(decision_id: str, turn: int) -> str:
    """The id of an outcome."""
    return f"{decision_id}-{turn}"


def encode_outcome(outcome: Outcome) -> bytes:
    """The canonical bytes of one outcome."""
    return encode(outcome)
