"""Reading a bag where no event asks: what an event would find, less itself."""

from __future__ import annotations

import numpy as np
import pytest

from features.bag import BadBagError
from features.feature import (
    ABSENT,
    Count,
    Feature,
    Habit,
    Max,
    Mean,
    Measure,
    Measured,
    New,
    Outlying,
    SinceFirst,
    SinceLast,
    Span,
    Sum,
    Usual,
)
from features.fold import fold
from features.group import Group
from features.kinds import CHECKOUT_BEGUN
from features.reading import read, unit_of
from features.sequence import RecentAmount, RecentGap, recent
from features.shop import shop_definitions
from features.window import DAY_MS, HOUR_MS, MINUTE_MS, WINDOW_1H, WINDOW_24H
from tests.unit.features.build import compacted, group, limits, own, stamped

NOW = 1_790_000_000_000
MONEY = group(windows=(WINDOW_1H, WINDOW_24H), others=("card",), counted=(WINDOW_1H,), grace_ms=10 * MINUTE_MS)


def minutes_ago(*minutes: int) -> list[int]:
    return [NOW - minute * MINUTE_MS for minute in minutes]


def test_nobody_is_counted_who_only_looks() -> None:
    bag = stamped(MONEY, own(minutes_ago(90, 30, 5), [100, 300, 500], [[7, 8, 8]]))
    (found,) = read(MONEY, [bag], NOW)
    values = found.values
    assert (values["g_count_1h"], values["g_count_24h"]) == (2, 3)
    assert (values["g_sum_1h"], values["g_mean_1h"], values["g_max_1h"]) == (800, 400, 500)
    assert values["g_distinct_cards_1h"] == 1
    assert (values["g_since_last_s"], values["g_since_first_s"]) == (300, 90 * 60)


def test_what_is_read_is_what_an_event_finds_less_itself() -> None:
    bag = stamped(MONEY, own(minutes_ago(90, 30, 5), [100, 300, 500], [[7, 8, 8]]))
    columns = dict(
        zip(MONEY.columns, fold(MONEY, [bag], limits(1 << 62), own([NOW], [200], [[9]]))[0].tolist(), strict=True)
    )
    (found,) = read(MONEY, [bag], NOW)
    for window in ("1h", "24h"):
        assert found.values[f"g_count_{window}"] == columns[f"g_count_{window}"] - 1
        assert found.values[f"g_sum_{window}"] == columns[f"g_sum_{window}"] - 200
    assert found.values["g_since_last_s"] == columns["g_since_last_s"]
    assert found.values["g_since_first_s"] == columns["g_since_first_s"]


def test_a_bag_that_is_not_there_tells_of_nothing() -> None:
    (found,) = read(MONEY, [None], NOW)
    assert found.newest_ms is None
    assert found.oldest_ms is None
    assert found.bag_bytes == 0
    assert found.values["g_count_24h"] == 0
    assert found.values["g_since_last_s"] == -1


def test_every_group_of_the_shop_tells_of_an_empty_bag_what_is_so_without_events() -> None:
    for one in shop_definitions().groups:
        (found,) = read(one, [None], NOW)
        told = {value for value in found.values.values() if value is not None}
        assert told <= {0.0, -1.0, 0.005}, one.name


def test_bags_are_told_apart_and_each_keeps_its_age_and_size() -> None:
    young, old = (
        stamped(MONEY, own(minutes_ago(1), [5], [[1]])),
        stamped(MONEY, own(minutes_ago(50, 40), [5, 7], [[1, 2]])),
    )
    one, none, two = read(MONEY, [young, None, old], NOW)
    assert (one.newest_ms, one.oldest_ms, one.entries, one.bag_bytes) == (NOW - MINUTE_MS, NOW - MINUTE_MS, 1, 40)
    assert (two.newest_ms, two.oldest_ms, two.entries, two.bag_bytes) == (*minutes_ago(40, 50), 2, 80)
    assert none.entries == 0


def test_compaction_changes_nothing_that_is_read() -> None:
    events = own(minutes_ago(*range(120, 0, -3)), list(range(40)), [[n % 5 + 1 for n in range(40)]])
    bag = stamped(MONEY, events)
    folded = compacted(MONEY, bag)
    (plain,), (tiled,) = read(MONEY, [bag], NOW), read(MONEY, [folded], NOW)
    assert tiled.values == plain.values
    assert (tiled.newest_ms, tiled.oldest_ms) == (plain.newest_ms, plain.oldest_ms)
    assert (plain.tiles, plain.others) == (0, 0)
    assert (tiled.entries, tiled.others) == (0, 5)
    assert tiled.tiles > 0


def test_as_of_an_earlier_time_windows_end_ten_minutes_before_the_newest_and_hold_what_is_later() -> None:
    bag = stamped(MONEY, own(minutes_ago(90, 30, 0), [100, 300, 500], [[7, 8, 9]]))
    (found,) = read(MONEY, [bag], NOW - DAY_MS)
    assert found.end_ms == NOW - 10 * MINUTE_MS
    assert found.values["g_count_1h"] == 2
    assert found.values["g_since_last_s"] == 0


def test_as_of_a_later_time_what_has_left_a_window_is_not_in_it() -> None:
    bag = stamped(MONEY, own(minutes_ago(90, 30), [100, 300], [[7, 8]]))
    (found,) = read(MONEY, [bag], NOW + 2 * HOUR_MS)
    assert found.end_ms == NOW + 2 * HOUR_MS
    assert (found.values["g_count_1h"], found.values["g_count_24h"]) == (0, 2)


def test_a_span_ends_with_the_newest_event_and_not_with_whoever_looks() -> None:
    visit = Group(
        "visit", 1, "who", (Feature(Count(), WINDOW_24H), Feature(Span()), Feature(SinceFirst()), Feature(SinceLast()))
    )
    (found,) = read(visit, [stamped(visit, own(minutes_ago(30, 10)))], NOW)
    assert found.values == {
        "visit_count_24h": 2,
        "visit_span_s": 20 * 60,
        "visit_since_first_s": 30 * 60,
        "visit_since_last_s": 10 * 60,
    }


def test_what_compares_an_event_with_its_past_has_no_value() -> None:
    usual = Group(
        "g", 1, "who",
        tuple(Feature(read, WINDOW_24H) for read in (Usual(), Outlying(), New("card"), Habit())),
        keep=4,
    )  # fmt: skip
    (found,) = read(usual, [stamped(usual, own(minutes_ago(30, 10), [5, 5], [[1, 2]]))], NOW)
    assert [found.values[name] for name in ("g_vs_usual_24h", "g_outlying_24h", "g_new_card_24h")] == [None] * 3
    assert found.values["g_hour_habit_24h"] is not None


def test_the_newest_events_are_read_one_by_one_and_whose_they_were_needs_an_event_that_asks() -> None:
    made = Group("g", 1, "who", (Feature(Count(), WINDOW_24H), *recent(3, ["card"])), keep=4)
    (found,) = read(made, [stamped(made, own(minutes_ago(30, 10), [500, 700], [[1, 2]]))], NOW)
    assert list(found.values.values()) == [2, 700, 500, 0, 600, 1_800, -1, None, None, None]


def test_a_measure_of_ones_own_does_not_see_whoever_looks() -> None:
    first = Measure("first", lambda at, _amount, _flags: at, "min")
    squares = Measure("squares", lambda _at, amount, _flags: amount * amount)
    mine = Group("g", 1, "who", (Feature(Measured(first), WINDOW_24H), Feature(Measured(squares), WINDOW_24H)))
    (found,) = read(mine, [stamped(mine, own(minutes_ago(30, 10), [3, 4]))], NOW - HOUR_MS)
    assert found.values == {"g_first_24h": minutes_ago(30)[0], "g_squares_24h": 25}
    (nothing,) = read(mine, [None], NOW)
    assert nothing.values == {"g_first_24h": -1, "g_squares_24h": 0}


def test_a_checkout_of_the_shop_is_read() -> None:
    session = next(one for one in shop_definitions().groups if one.name == "session")
    events = own(minutes_ago(9, 3), [0, 0], [[1, 1]])
    events.flags[:] = (1, CHECKOUT_BEGUN)
    (found,) = read(session, [stamped(session, events)], NOW)
    assert found.values["session_checkout"] == minutes_ago(3)[0]


def test_a_bag_of_another_layout_is_refused() -> None:
    foreign = group(layout=2)
    with pytest.raises(BadBagError, match="layout"):
        read(group(), [stamped(foreign, own([NOW]))], NOW)


@pytest.mark.parametrize(
    ("feature", "unit"),
    [
        (Feature(Sum(), WINDOW_1H), "amount"),
        (Feature(Mean(), WINDOW_1H), "amount"),
        (Feature(Max(), WINDOW_1H), "amount"),
        (Feature(SinceLast()), "s"),
        (Feature(Usual(), WINDOW_1H), "doublings"),
        (Feature(RecentAmount(1)), "amount"),
        (Feature(RecentGap(1)), "s"),
        (Feature(Count(), WINDOW_1H), ""),
    ],
)
def test_a_value_has_the_unit_of_what_it_counts(feature: Feature, unit: str) -> None:
    assert unit_of(feature) == unit


def test_the_amount_that_nobody_has_is_that_of_whoever_looks() -> None:
    assert np.int64(ABSENT) == np.iinfo(np.int64).min
