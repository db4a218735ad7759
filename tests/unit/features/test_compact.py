from __future__ import annotations

import numpy as np
import pytest

from features.compact import canonical, over_cap
from features.entry import Own
from features.group import Group
from features.logscale import place
from features.shop import MERCHANT, SESSION, USER
from features.window import DAY_MS
from tests.unit.features.build import ENTRY_BYTES, compacted, group, own, stamped

T0 = 1_790_000_000_000


def test_only_bags_with_more_entries_than_the_cap_are_worth_it() -> None:
    made = group(cap=3)
    bags = [stamped(made, own([1_000] * n)) for n in (3, 4, 30)]
    done = compacted(made, bags[2])
    assert over_cap(made, [None, *bags, done, b""]).tolist() == [2, 3]
    assert over_cap(made, [done + bags[1]]).tolist() == [0]


def test_entries_of_one_tile_become_one_tile_and_older_ones_a_coarser_one() -> None:
    made = group(grace_ms=0)
    #  10 s windows of 1 s, 1 m of 10 s: at 60 s the tiles of 10 s before 50 s are closed for the fine window
    tiles = canonical(made, stamped(made, own([30_000, 33_000, 39_999, 55_000, 55_900, 60_000])))["tiles"]
    assert [(t["level"], t["first"], t["count"]) for t in tiles] == [(1, 30_000, 3), (0, 55_000, 2), (0, 60_000, 1)]


def test_what_no_window_can_reach_is_dropped() -> None:
    made = group(grace_ms=0)
    assert [t["first"] for t in canonical(made, stamped(made, own([1_000, 200_000])))["tiles"]] == [200_000]


def test_a_tile_beside_events_kept_one_by_one_is_gone_as_a_whole_or_not_at_all() -> None:
    """The exact start of the minute cuts the tile that holds 80.0 and 80.1 s; at its edge, 90 s, the tile is gone."""
    made = group(grace_ms=0, keep=1)
    early = compacted(made, stamped(made, own([80_000, 80_100, 100_000]), 1))
    last = stamped(made, own([140_050]), 2)
    for bag in (early + last, compacted(made, early + last), stamped(made, own([80_000, 80_100, 100_000, 140_050]))):
        found = canonical(made, bag)
        assert [(t["first"], t["count"]) for t in found["tiles"]] == [(100_000, 1)]
        assert [event["at"] for event in found["events"]] == [140_050]


def test_forever_keeps_the_totals_of_what_left() -> None:
    made = group(grace_ms=0, forever=True)
    tiles = canonical(made, stamped(made, own([1_000, 2_000, 200_000], [5, 6, 7])))["tiles"]
    assert [(t["level"], t["count"], t["sum"]) for t in tiles] == [(255, 2, 11), (0, 1, 7)]


def test_counterparties_nobody_can_ask_for_are_forgotten() -> None:
    made = group(grace_ms=0, others=("a",))
    assert canonical(made, stamped(made, own([1_000, 30_000], others=[[5, 6]])))["others"] == {
        "a": {"00000006": 30_000}
    }


def test_an_empty_bag_means_nothing() -> None:
    assert canonical(USER, b"") == {
        "group": "user",
        "newest": -1,
        "tiles": [],
        "events": [],
        "others": {"card": {}, "device": {}, "ip": {}},
    }


def lived(made: Group, days: float, events: int, distinct: int, seed: int) -> bytes:
    """A bag after many ranges of one entity, compacted as the worker does."""
    rng = np.random.default_rng(seed)
    at = np.sort(T0 + rng.integers(0, int(days * DAY_MS), events))
    bag = b""
    for step, part in enumerate(np.array_split(at, max(events // 20, 1))):
        amounts = rng.integers(1, 10**6, len(part))
        others = rng.integers(1, distinct + 1, (len(made.others), len(part))) * 1_000_003 % (1 << 30)
        flags = np.ones(len(part), np.int64)
        events_ = Own.of(np.zeros(len(part), np.int64), part, amounts, flags, place(amounts), others)
        bag = compacted(made, bag, 1_000 + step) + stamped(made, events_, 1_000 + step)
    return bag


@pytest.mark.parametrize(("made", "events", "distinct"), [(MERCHANT, 20_000, 1 << 29), (USER, 5_000, 50)])
def test_no_bag_of_the_shop_is_over_16_kb(made: Group, events: int, distinct: int) -> None:
    bag = lived(made, 35, events, distinct, seed=5)
    assert len(bag) + 4 * ENTRY_BYTES * made.cap <= 16_384


def test_a_customer_of_five_orders_a_month_stays_under_1_kb() -> None:
    assert len(lived(USER, 120, 20, 3, seed=8)) < 1_024


def test_a_session_of_a_thousand_events_stays_under_1_kb() -> None:
    assert len(lived(SESSION, 0.05, 1_000, 40, seed=2)) < 1_024 + ENTRY_BYTES * SESSION.cap
