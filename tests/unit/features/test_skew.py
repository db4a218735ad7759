"""Order skew: what events saw in applied order against event-time order; what is kept is the same in both."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.entry import Own
from features.feature import Count, Feature, Known, New, Share, SinceFirst, SinceLast, Usual
from features.group import Group
from features.grown import STAMPED_BYTES, grown
from features.logscale import place
from features.shop import shop_definitions
from features.skew import Sample, Skew, Skews
from tests.unit.features.build import SECONDS, group

SECOND = 1_000
COUNTS = group(windows=SECONDS[1:], reads=(Count(),), grace_ms=0)


def told(sample: Sample, who: str, at: Sequence[int], number: int, *, asks: bool = True, others: int = 0) -> None:
    """A range of one entity's events."""
    n = len(at)
    amount = np.array([100 + t % 7919 for t in at], np.int64)
    hashes = np.array([[1 + t % 5 for t in at]] * others, np.int64).reshape(others, n)
    flags = np.array([1 + t % 3 for t in at], np.int64)
    own = Own.of(np.zeros(n, np.int64), np.array(at, np.int64), amount, flags, place(amount), hashes)
    sample.take([who], own, [number], asks=asks)


def skew_of(skews: Skews, column: str) -> Skew:
    return next(one for one in skews.features if one.column == column)


def test_what_comes_in_the_order_of_its_time_has_no_skew() -> None:
    sample = Sample(COUNTS, 10)
    for n in range(50):
        told(sample, "ann", [100_000 + n * SECOND], 1_000 + n)
    skews = sample.skews()
    assert (skews.events, skews.out_of_order) == (50, 0)
    assert not any(one.differ or one.kept or one.most for one in skews.features)


def test_who_comes_late_saw_more_than_by_event_time_and_who_was_before_saw_less() -> None:
    sample = Sample(COUNTS, 10)
    told(sample, "ann", [105_000], 7)
    told(sample, "ann", [101_000], 8)  # late: it saw two (there is no upper cut), by event time it is the first
    skews = sample.skews()
    count = skew_of(skews, "g_count_1m")
    assert (skews.events, skews.out_of_order) == (2, 1)
    assert (count.values, count.differ, count.mean, count.most, count.kept) == (2, 2, 1.0, 1.0, 0)


def test_ranges_may_be_told_in_another_order_than_they_were_applied_in() -> None:
    one, other = Sample(COUNTS, 10), Sample(COUNTS, 10)
    ranges = [([105_000], 7), ([101_000], 8), ([103_000, 102_000], 9)]
    for at, number in ranges:
        told(one, "ann", at, number)
    for at, number in reversed(ranges):
        told(other, "ann", at, number)
    assert one.skews() == other.skews()


def test_only_what_somebody_asked_for_is_compared() -> None:
    sample = Sample(COUNTS, 10)
    told(sample, "ann", [105_000], 7)
    told(sample, "ann", [101_000], 8, asks=False)
    count = skew_of(sample.skews(), "g_count_1m")
    assert (count.values, count.differ) == (1, 1)


def test_the_sample_is_the_same_whichever_way_ranges_were_cut() -> None:
    names = [f"user {n}" for n in range(200)]
    one, other = Sample(COUNTS, 20), Sample(COUNTS, 20)
    for number, name in enumerate(names):
        told(one, name, [100_000, 99_000], number)
    for at in (100_000, 99_000):
        for number, name in enumerate(names):
            told(other, name, [at], number)
    assert one.skews() == other.skews()
    assert one.skews().entities == 20


def test_a_sample_is_bounded_by_events_and_says_where_it_cut() -> None:
    sample = Sample(COUNTS, 100, most_events=50, a_bag=20)
    for number in range(300):
        told(sample, f"user {number % 10}", [100_000 + number * SECOND], number)
    skews = sample.skews()
    assert skews.events <= 50
    assert skews.cut == skews.entities == 2


SHOP = {one.name: one for one in shop_definitions().groups}


@pytest.mark.parametrize("of", SHOP.values(), ids=SHOP)
def test_a_feature_of_any_order_keeps_the_same_whatever_order_its_events_come_in(of: Group) -> None:
    sample, seed = Sample(of, 100), random.Random(7)
    for who in range(8):
        at = [1_700_000_000_000 + seed.randrange(90 * 86_400_000) for _ in range(120)]
        for number, one in enumerate(at):
            told(sample, f"user {who}", [one], number, others=len(of.others))
    skews = sample.skews()
    assert skews.out_of_order > 500
    assert {one.order for one in skews.features} == {"any"}
    assert [one.column for one in skews.features if one.kept] == []


MIXED = group(
    Feature(New("where"), SECONDS[0]),
    Feature(Usual(), SECONDS[1]),
    Feature(Known(2, 1), SECONDS[1]),
    Feature(Share(2), SECONDS[1], delay_ms=20_000),
    Feature(SinceLast(), name="last"),
    Feature(SinceFirst(), name="first"),
    others=["where"],
    keep=4,
    cap=6,
    exact=2,
)


@given(at=st.lists(st.integers(100_000, 400_000), min_size=1, max_size=80), cuts=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_what_is_kept_never_depends_on_the_order(at: list[int], cuts: int) -> None:
    sample = Sample(MIXED, 10)
    for number in range(0, len(at), cuts):
        told(sample, "ann", at[number : number + cuts], number, others=1)
    assert not any(one.kept for one in sample.skews().features)


def test_a_bag_that_did_depend_on_the_order_would_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(of: Group, bags: Sequence[bytes], added: Sequence[bytes]) -> list[bytes]:
        return [(bag + more)[-3 * STAMPED_BYTES :] for bag, more in zip(bags, grown(of, bags, added), strict=True)]

    monkeypatch.setattr("features.skew.grown", forgetful)
    sample = Sample(COUNTS, 10)
    for number, at in enumerate([160_000, 100_000, 101_000, 102_000]):
        told(sample, "ann", [at], number)
    assert skew_of(sample.skews(), "g_count_1m").kept == 1
