"""The catalogue says of each feature what its definition does."""

from __future__ import annotations

import pytest

from features.catalogue import catalogue, kinds_of, page, time_of
from features.columns import Columns
from features.definitions import Definitions, Flow
from features.feature import Count, Feature, Habit, Share, Sum
from features.group import Group
from features.kinds import NAMES
from features.shop import shop_definitions
from features.vector import Vector
from features.window import DAY_MS, EVER, HOUR_MS, MINUTE_MS, WINDOW_7D, WINDOW_24H

OWN = Group(
    "country",
    3,
    "country",
    (
        Feature(Count(), WINDOW_24H),
        Feature(Sum(), WINDOW_24H, of=0x1, current=False),
        Feature(Share(0x40), WINDOW_7D, delay_ms=7 * DAY_MS),
        Feature(Habit(), WINDOW_24H),
        Feature(Count(), EVER),
    ),
    forever=True,
)


def definitions(*groups: Group) -> Definitions:
    def columns(*_: object) -> Columns:
        raise NotImplementedError

    flow = Flow("orders", columns, columns, columns, groups, scored=True)  # type: ignore[arg-type]  # nobody calls them
    return Definitions((flow,), Vector(groups[0].columns, groups, lambda _, folded: folded["country"].T))


def test_every_column_of_every_group_is_told_once() -> None:
    shop = shop_definitions()
    told = [one.column for one in catalogue(shop)]
    assert told == [column for group in shop.groups for column in group.columns]
    assert len(set(told)) == len(told)


def test_words_are_those_of_the_vector() -> None:
    shop = shop_definitions()
    words = {one.column: one.what for one in catalogue(shop)}
    assert words["user_max_7d"] == shop.vector.words["user_max_7d"]
    assert all(words.values())


def test_a_feature_says_its_window_its_delay_and_what_counts() -> None:
    count, amount, share, habit, ever = catalogue(definitions(OWN))
    assert (count.window, count.delay, count.of, count.current, count.order) == ("24 h", "", "", True, "any")
    assert (amount.of, amount.current) == ("kind 0x1", False)
    assert (share.window, share.delay) == ("7 d", "7 d")
    assert share.of == "kind 0x40"
    assert not habit.current
    assert ever.window == "ever"
    assert {one.layout for one in (count, ever)} == {3}


def test_what_is_known_of_orders_says_what_makes_it_so_and_what_takes_it_back() -> None:
    counted = {one.column: one.of for one in catalogue(shop_definitions(), NAMES)}
    assert counted["card_risk_7d"] == "known fraud less fraud taken back, of order"
    assert counted["card_known_frauds_30d"] == "known fraud less fraud taken back"


def test_another_definition_has_another_hash() -> None:
    other = Group("country", 3, "country", OWN.features, forever=True, exact=16)
    (one, *_), (two, *_) = catalogue(definitions(OWN)), catalogue(definitions(other))
    assert one.definition != two.definition


def test_kinds_are_named_where_they_have_names() -> None:
    assert kinds_of(0xFF, NAMES) == ""
    assert kinds_of(0x18, NAMES) == "order, failed login"
    assert kinds_of(0x18, {}) == "kind 0x8, kind 0x10"


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (MINUTE_MS, "1 min"),
        (10 * MINUTE_MS, "10 min"),
        (HOUR_MS, "1 h"),
        (DAY_MS, "24 h"),
        (7 * DAY_MS, "7 d"),
        (5, "5 ms"),
    ],
)
def test_a_time_is_said_in_its_largest_unit(ms: int, said: str) -> None:
    assert time_of(ms) == said


def test_the_page_has_a_section_for_each_group_and_a_row_for_each_feature() -> None:
    text = page(definitions(OWN))
    assert text.startswith("## country\n")
    assert all(f"| `{column}` |" in text for column in OWN.columns)
