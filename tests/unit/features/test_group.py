from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from features.feature import (
    MONEY,
    Count,
    Distinct,
    Feature,
    Habit,
    Max,
    Mean,
    Measure,
    Measured,
    New,
    Outlying,
    Ratio,
    Share,
    SinceKnown,
    SinceLast,
    Span,
    Spread,
    Streak,
    Sum,
    Usual,
    each,
)
from features.group import Group, GroupError
from features.sequence import RecentAmount, RecentGap, RecentSame, recent
from features.window import EVER, WINDOWS, Window
from tests.unit.features.build import SECONDS, group

TEN, MINUTE = SECONDS


def test_columns_are_named_by_group_read_and_window() -> None:
    made = group(name="card", reads=(Count(), Mean()), others=("user",), counted=(MINUTE,), exact=4)
    assert made.columns == (
        "card_count_10s",
        "card_mean_10s",
        "card_count_1m",
        "card_mean_1m",
        "card_distinct_users_1m",
        "card_since_last_s",
        "card_since_first_s",
    )


def test_a_feature_may_have_a_name_of_its_own() -> None:
    assert "bursts" in group(Feature(Count(), Window("1s", 1_000, 1), name="bursts")).columns


def test_a_window_starts_at_a_tile_and_holds_the_open_one() -> None:
    window = Window("3 tiles", 1_000, 3)
    #  end      2999  3000  3001  3999  4000   3 tiles of 1 s, the last one open
    assert window.cut(np.array([2_999, 3_000, 3_001, 3_999, 4_000])).tolist() == [0, 1_000, 1_000, 1_000, 2_000]


def test_among_events_kept_one_by_one_a_window_starts_exactly() -> None:
    window = Window("3 tiles", 1_000, 3)
    assert window.sharp_cut(np.array([2_000, 3_000, 3_999])).tolist() == [0, 1, 1_000]


def test_ever_has_no_start() -> None:
    assert EVER.cut(np.array([10**13])).tolist() == [0]


def test_default_windows_are_those_of_the_documentation() -> None:
    made = Group("user", 1, "user", each(WINDOWS, *MONEY))
    assert [(w.name, w.reach_ms) for w in made.summed] == [
        ("10m", 600_000),
        ("1h", 3_600_000),
        ("24h", 86_400_000),
        ("7d", 7 * 86_400_000),
        ("30d", 30 * 86_400_000),
    ]
    assert made.ladder == (60_000, 3_600_000, 21_600_000, 86_400_000)


def test_a_tile_holds_what_the_features_need_and_no_more() -> None:
    count, total = Feature(Count(), TEN), Feature(Sum(), TEN)
    fields = {
        "count": (count,),
        "count sum": (count, total, Feature(Mean(), MINUTE)),
        "count log log2": (Feature(Spread(), TEN),),
        "count sum max": (total, Feature(Max(), TEN), count),
        "count count#2-4": (count, Feature(Share(2, less=4), MINUTE)),
        "count#2 count": (Feature(Count(), TEN, of=2, name="others"), count),
    }
    for names, features in fields.items():
        made = Group("g", 1, "who", features)
        assert sorted(field.name for field in made.fields) == sorted(names.split())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "not a name"}, "letters, digits"),
        ({"layout": 32}, "layout 32"),
        ({"layout": 0}, "layout 0"),
        ({"others": ("a", "b", "c", "d")}, "at most 3: give the others a group of their own"),
        ({"exact": 0}, "exact 0"),
        ({"cap": 0}, "cap 0"),
        ({"keep": 24}, "keep 24: want 0 or more, and less than the cap of 24"),
        ({"grace_ms": -1}, "grace -1"),
        ({"windows": ()}, "no window with a start"),
        ({"windows": (Window("x", 10, 3),)}, "want >= 1,000 ms"),
        ({"windows": (Window("x", 2_000, 3), Window("y", 3_000, 3))}, "2000 ms do not divide tiles of 3000 ms"),
        ({"windows": (Window("x", 1_000, 3), Window("x", 1_000, 4))}, "two features are named 'g_count_x'"),
        ({"windows": (Window("x", 1_000, 3), EVER)}, "forever=True"),
        ({"counted": (EVER,), "others": ("a",)}, "cannot be counted without a start"),
    ],
)
def test_an_impossible_group_is_refused_with_its_name_the_value_and_the_remedy(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(GroupError, match=message.replace("(", r"\(")) as raised:
        group(**changes)
    assert str(changes.get("name", "g")) in str(raised.value)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (Feature(Count()), "g_count: needs a window"),
        (Feature(SinceLast(), TEN), "reads the longest window: give it none"),
        (Feature(Count(), TEN, of=256, name="x"), "x: of 0x100: want bits"),
        (Feature(Max(), TEN, delay_ms=1_000, name="x"), "a delay or current=False takes sums"),
        (Feature(Distinct("a"), TEN, current=False, name="x"), "a delay or current=False takes sums"),
        (
            Feature(Count(), TEN, delay_ms=1_500, name="x"),
            "a delay of 1500 ms: want a multiple of 1000, the window's tile",
        ),
        (Feature(Usual(), TEN), "give the group keep=16"),
        (Feature(Streak(2), TEN), "give it a delay_ms"),
        (Feature(RecentGap(1)), "give the group keep=16"),
        (Feature(RecentGap(1), TEN), "reads the longest window: give it none"),
        (Feature(New("a"), TEN, of=2), "counterparty 'a' is read of two kinds of event"),
    ],
)
def test_an_impossible_feature_is_refused_by_its_name(feature: Feature, message: str) -> None:
    with pytest.raises(GroupError, match=message):
        group(feature, Feature(Distinct("a"), MINUTE))


@pytest.mark.parametrize(
    "feature",
    [
        Feature(Usual(), EVER),
        Feature(Outlying(), EVER),
        Feature(SinceKnown("last", 1), EVER),
        Feature(Ratio(TEN), EVER),
        Feature(Ratio(EVER), TEN),
        Feature(Count(), EVER, delay_ms=1_000, name="g_count_x"),
    ],
)
def test_what_asks_for_events_or_days_or_a_pace_needs_a_window_with_a_start(feature: Feature) -> None:
    """What is older than every start is one tile of totals."""
    with pytest.raises(GroupError, match=f"{feature.column('g')}: .* give it a window with a start"):
        group(feature, keep=5, forever=True)


def test_a_sequence_has_no_more_places_than_events_are_kept() -> None:
    assert group(Feature(RecentAmount(5)), keep=5).columns[-1] == "g_recent_amount_5"
    for nth in (0, 6):
        with pytest.raises(GroupError, match=f"g_recent_amount_{nth}: place {nth} .*: want 1 to keep=5"):
            group(Feature(RecentAmount(nth)), keep=5)


def test_a_sequence_and_a_count_read_a_counterparty_of_the_same_events() -> None:
    with pytest.raises(GroupError, match="counterparty 'a' is read of two kinds of event"):
        group(Feature(RecentSame(1, "a"), of=2), others=("a",), keep=5)


def test_a_sequence_is_of_one_entity() -> None:
    with pytest.raises(GroupError, match="an event of a group with many=True has several"):
        group(*recent(2), keep=5, many=True)


def test_a_sequence_stores_nothing_that_counts_and_sums_do_not() -> None:
    plain, told = group(others=("a",), keep=5), group(*recent(5, "a"), others=("a",), keep=5)
    assert (told.fields, told.event, told.others, told.ladder) == (
        plain.fields,
        plain.event,
        plain.others,
        plain.ladder,
    )


def test_what_a_sequence_tells_is_an_event_of_its_own() -> None:
    assert Group("g", 1, "who", (Feature(Count(), TEN, of=1), *recent(1, of=2)), keep=2).event.kinds == 3


def test_the_definition_changes_with_anything_that_decides_a_value() -> None:
    made = [
        group(),
        group(grace_ms=1),
        group(exact=5),
        group(keep=5),
        group(others=("a",)),
        group(reads=(Count(),)),
        group(Feature(Measured(Measure("x", lambda at, _a, _f: at, "max")), TEN)),
        group(Feature(Count(), TEN, of=2, name="x")),
        group(Feature(Count(), TEN, delay_ms=1_000, name="x")),
        group(Feature(Count(), TEN, current=False, name="x")),
        group(Feature(Habit(), TEN)),
        group(Feature(Span())),
        group(Feature(RecentAmount(1)), keep=5),
        group(Feature(RecentAmount(2)), keep=5),
        group(Feature(RecentGap(1)), keep=5),
        group(windows=(TEN, Window("1m", 10_000, 7))),
    ]
    assert len({each.definition for each in made}) == len(made)
