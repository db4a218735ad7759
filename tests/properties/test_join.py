"""However orders and labels arrive, in whatever ranges, out of whatever memory: what was told of an order adds up."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.bag import BadBagError
from features.join import VERSION, canonical, compacted, news, records_of
from features.orders import _LABEL as LABEL_RECORD
from features.orders import _ORDER as ORDER_RECORD
from features.orders import _TURN as TURN_RECORD
from features.orders import LABEL, MEETING, ORDER, TURN, known_of
from schemas.decode import decode_one

SAMPLE = 300


def an_order(number: int, at_ms: int) -> bytes:
    return ORDER_RECORD.pack(ORDER, number.to_bytes(16, "big"), at_ms) + b"u\x1f\x1fc\x1f\x1f\x1f\x1fp"


def a_label(number: int, at_ms: int, *, fraud: bool) -> bytes:
    return LABEL_RECORD.pack(LABEL, fraud, at_ms) + b"l%d\x1freview_outcome" % number


EVENTS = st.tuples(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=5, unique_by=lambda order: order[0]),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.booleans()), max_size=6, unique_by=lambda one: one[0]),
)


@dataclass
class OneBag:
    """The bag of an order id in a store, and the topic that is read back."""

    rng: Random
    bag: bytes = b""
    number: int = 0
    topic: list[tuple[str, bytes]] = field(default_factory=list)  # id, value
    read: int = 0
    accepted: dict[str, bytes] = field(default_factory=dict)

    def take(self, records: list[bytes]) -> None:
        """A range; now and then its owner dies and another one does it again."""
        self.number += 1
        reduced = records if len(records) == 1 else MEETING.reduce(records)
        body = b"".join([len(one).to_bytes(2, "little") + one for one in reduced])
        chunk = self.number.to_bytes(8, "big") + len(body).to_bytes(4, "little") + body
        before, self.bag = self.bag, self.bag + chunk
        first = news(MEETING, "o", before, self.number, records, whole=False)
        again = news(MEETING, "o", self.bag, self.number, records, whole=False)
        assert first == again, "a range that is done again has the same bytes"
        for _ in range(self.rng.choice((1, 1, 2))):
            self.topic += [(made.name, made.value) for made in first]
        if self.rng.random() < 0.3 and (made := compacted(MEETING, self.bag, self.number)):
            prefix, replacement, _ = made
            assert self.bag.startswith(prefix)
            self.bag = replacement + self.bag[len(prefix) :]

    def read_back(self, most: int) -> None:
        """A range of the topic; ids that were seen before are dropped."""
        some, self.read = self.topic[self.read : self.read + most], min(len(self.topic), self.read + most)
        fresh = {name: value for name, value in some if name not in self.accepted}
        self.accepted |= fresh
        if fresh:
            self.take([_turn(value) for value in fresh.values()])


def _turn(value: bytes) -> bytes:
    outcome = decode_one("outcomes", value)
    return TURN_RECORD.pack(TURN, bytes.fromhex(outcome.decision_id), outcome.turn)  # type: ignore[union-attr]


@settings(max_examples=SAMPLE)
@given(EVENTS, st.randoms(use_true_random=False))
def test_the_deltas_of_an_order_add_up_to_what_its_newest_label_says(
    events: tuple[list[tuple[int, int]], list[tuple[int, int, bool]]], rng: Random
) -> None:
    orders, labels = events
    waiting = [an_order(*one) for one in orders] + [a_label(n, at, fraud=fraud) for n, at, fraud in labels]
    rng.shuffle(waiting)
    one = OneBag(rng)
    while waiting or one.read < len(one.topic):
        if waiting and rng.random() < 0.6:
            count = rng.randint(1, 3)
            one.take(waiting[:count])
            del waiting[:count]
        else:
            one.read_back(rng.randint(1, 3))
    newest = max(((at, f"l{number}", fraud) for number, at, fraud in labels), default=(0, "", False))
    deltas: dict[str, int] = {}
    for value in one.accepted.values():
        outcome = decode_one("outcomes", value)
        deltas[outcome.decision_id] = deltas.get(outcome.decision_id, 0) + outcome.delta  # type: ignore[union-attr]
    for number, _ in orders:
        assert deltas.get(f"{number:032x}", 0) == newest[2]


@settings(max_examples=SAMPLE)
@given(EVENTS, st.randoms(use_true_random=False))
def test_a_bag_means_the_same_whatever_was_compacted_and_in_whichever_order_it_was_filled(
    events: tuple[list[tuple[int, int]], list[tuple[int, int, bool]]], rng: Random
) -> None:
    orders, labels = events
    records = [an_order(*one) for one in orders] + [a_label(n, at, fraud=fraud) for n, at, fraud in labels]
    meanings = []
    for _ in range(2):
        rng.shuffle(records)
        one, left = OneBag(rng), list(records)
        while left:
            count = rng.randint(1, 3)
            one.take(left[:count])
            del left[:count]
        meanings.append(canonical(MEETING, one.bag))
    assert meanings[0] == meanings[1]


@given(EVENTS)
def test_to_reduce_twice_or_in_parts_is_to_reduce_once(
    events: tuple[list[tuple[int, int]], list[tuple[int, int, bool]]],
) -> None:
    orders, labels = events
    records = [an_order(*one) for one in orders] + [a_label(n, at, fraud=fraud) for n, at, fraud in labels]
    once, half = MEETING.reduce(records), len(records) // 2
    assert MEETING.reduce(once) == once
    assert MEETING.reduce([*MEETING.reduce(records[half:]), *MEETING.reduce(records[:half])]) == once


def test_the_label_of_two_of_one_time_is_the_one_of_the_larger_id() -> None:
    records = [a_label(1, 5, fraud=True), a_label(2, 5, fraud=False)]
    label = known_of(MEETING.reduce(records)).label
    assert label is not None
    assert (label.event_id, label.fraud) == ("l2", False)


def test_a_bag_of_a_later_version_is_not_guessed_at() -> None:
    later = bytes([VERSION + 1, 0, 0, 0]) + bytes(4)
    with pytest.raises(BadBagError, match="upgrade this worker"):
        records_of(later)
    with pytest.raises(BadBagError, match="cut off"):
        records_of(bytes(7) + b"\x01" + b"\x09")
