"""A vector that is rebuilt from the log is the live one, byte for byte, however ranges and shards interleave."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.compact import compact
from features.replay import OrderError, Range, Replay, replay
from streams.protocol.ports import Swap
from tests.support.past import SHARDS, TOPICS, WHERE, WHO, Event, Live, definitions

GROUPS = {"who": WHO, "where": WHERE}


def events() -> st.SearchStrategy[Event]:
    """Few people in few places, at times that crowd around the edges of windows, some of them late."""
    base = st.sampled_from([100_000, 110_000, 160_000, 230_000])
    at = st.builds(lambda b, d: b + d, base, st.integers(-3, 3) | st.integers(-20_000, 9_000))
    who = st.sampled_from(["ann", "bob", "cat", None])
    return st.builds(Event, who, st.sampled_from(["here", "there", None]), at, st.integers(-5, 5_000))


class Begin(NamedTuple):
    """A range is begun."""

    topic: str
    partition: int
    events: list[Event]


class Step(NamedTuple):
    """A shard takes an open range: one of the open ones, one of the shards that have not taken it."""

    which: int
    shard: int


class Squeeze(NamedTuple):
    """A bag is compacted but for the entries of about so many ranges."""

    group: str
    entity: str
    spared: int


begins = st.builds(Begin, st.sampled_from(TOPICS), st.integers(0, 1), st.lists(events(), min_size=1, max_size=5))
taken = st.builds(Step, st.integers(0, 5), st.integers(0, SHARDS))
squeezes = st.builds(Squeeze, st.sampled_from(["who", "where"]), st.sampled_from(["ann", "here"]), st.integers(0, 3))
steps = st.lists(begins | taken | squeezes, max_size=30)


def lived(schedule: list[Begin | Step | Squeeze]) -> Live:
    live = Live()
    for step in schedule:
        if isinstance(step, Begin):
            live.range(*step)
        elif isinstance(step, Step) and live.open:
            live.step(list(live.open)[step[0] % len(live.open)], step[1])
        elif isinstance(step, Squeeze):
            squeeze(live, *step)
    return live


def squeeze(live: Live, group: str, entity: str, spared: int) -> None:
    for key, shard in live.calls.items():
        if key.endswith(f"}}{group}:{entity}".encode()):
            bag = live.store.bags()[key]
            done = compact(GROUPS[group], [bag], np.array([live.now - 9 * spared], np.uint64))[0]
            if done is not None:
                live.swap(Swap(shard, key, done.prefix, done.replacement, done.newest))


LATE_SHARD = [  # one takes orders/1 long after the others: the replay appends its entries before smaller numbers
    Begin("orders", 0, [Event("ann", "here", 100_000, 0)] * 4),
    Begin("orders", 1, [Event("ann", "here", 100_000, 0)]),
    Step(1, 0),
    Begin("orders", 0, [Event("ann", "here", 100_000, 0)]),
    Begin("orders", 0, [Event("ann", "here", 100_000, 0)]),
]


@given(schedule=steps, at_once=st.sampled_from([1, 4, 100]))
@settings(max_examples=300, deadline=None)
@example(schedule=LATE_SHARD, at_once=1)
def test_the_replay_in_applied_order_gives_the_live_vectors(
    schedule: list[Begin | Step | Squeeze], at_once: int
) -> None:
    live = lived(schedule)
    ranges = list(live.through())
    rebuilt = list(replay(Replay(definitions(), SHARDS), ranges, at_once))
    assert sorted(one.range.tag for one in rebuilt) == list(range(len(live.rows)))
    for one in rebuilt:
        assert one.rows.tobytes() == live.rows[one.range.tag].tobytes()


def test_a_range_that_was_said_not_to_come_is_refused() -> None:
    again = Replay(definitions(), SHARDS)
    at_ms = np.array([1], np.int64)
    again.take(Range("orders", [7, 8, 9], [Event("ann", "here", 1)], at_ms))
    again.advance([7, 7, 7])
    with pytest.raises(OrderError, match="number 6 on shard 2: everything below 7 was said to be there already"):
        again.take(Range("orders", [8, 8, 6], [Event("ann", "here", 1)], at_ms))


def test_a_range_waits_until_nothing_is_missing_on_any_shard() -> None:
    live = Live()
    for n in range(3):
        live.range("orders", 0, [Event("ann", "here", 100_000 + n)])
    ranges = list(live.through())
    again = Replay(definitions(), SHARDS)
    for range_ in reversed(ranges):
        again.take(range_)
    assert [one.range.tag for one in again.advance([*ranges[1].numbers[:2], ranges[1].numbers[2] - 1])] == [0]
    assert [one.range.tag for one in again.advance(ranges[1].numbers)] == [1]
    assert [one.range.tag for one in again.finish()] == [2]


def test_bags_that_nobody_touches_for_long_are_dropped() -> None:
    again = Replay(definitions(), SHARDS, lifetimes_ms={"who": 1, "where": 1})
    for n in range(50):
        at_ms = np.array([100_000], np.int64)
        again.take(Range("orders", [1000 * (n + 1)] * SHARDS, [Event(f"user {n}", f"place {n}", 100_000)], at_ms))
        again.advance([1000 * (n + 1)] * SHARDS)
    assert again.bags < 12


def test_of_all_the_groups_only_those_of_the_vector_are_kept() -> None:
    live = Live()
    live.range("orders", 0, [Event("ann", "here", 100_000), Event("ann", "here", 101_000)])
    whole = live.definitions.vector
    small = type(whole)(WHO.columns, (WHO,), lambda _, folded: folded["who"].T)
    again = Replay(definitions(), SHARDS, small)
    (one,) = list(replay(again, live.through()))
    assert np.array_equal(one.rows, live.rows[0][:, : len(WHO.columns)])
    assert again.bags == 1
