"""Matured: what became of an order, with the vector that it was decided by, once that is known.

One record says what is known of one decision from `due_ms` on: fraud as soon as a label says so, good when no label has
said so for as long as frauds may take to be noticed. Where that turns out otherwise, one more record says so, and what
the one before had said. So the topic is history as a learner may see it, in the order in which it may see it.

Records come by (due_ms, event_id). That is a promise about readers: whoever reads drops what is not above the largest
key before it, for a writer that was killed, or two that were there at once, may have written a record twice. As with
decisions the bytes are in the order of the fields and hold no clock of ours; a new field goes to the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

MATURED = "matured"

Label = Literal[0, 1]


class Matured(Struct, gc=False, frozen=True):
    """A record of `matured`."""

    event_id: str
    decision_id: str
    order_id: str
    at_ms: int  # event time of the order
    due_ms: int  # from when on this is known
    label: Label  # 1: fraud
    label_type: str | None  # of the label that says so; null: none came for so long
    was: Label | None  # what the record before said of the same decision; null: this is the first
    turn: int  # 1, 2, ...: how often something was said of this decision
    vector: Sequence[float]  # as it was at the decision, in the order that feature_hash stands for
    feature_hash: str
    partition: int  # of `decisions`, where the decision lies
    offset: int
    score: float  # what was decided by
    members: dict[str, float]  # each member's score, and what challengers said


class Key(NamedTuple):
    """What records are in the order of."""

    due_ms: int
    event_id: str


class Told(Struct, gc=False, frozen=True):
    """Of a record of `matured`, all but the vector: what was said of which decision, where it lies, and when."""

    event_id: str
    decision_id: str
    due_ms: int
    label: Label
    turn: int
    partition: int
    offset: int

    @property
    def key(self) -> Key:
        return Key(self.due_ms, self.event_id)


def key_of(record: Matured) -> Key:
    return Key(record.due_ms, record.event_id)


decode_matured = msgspec.json.Decoder(Matured).decode
decode_told = msgspec.json.Decoder(Told).decode
