from __future__ import annotations

import numpy as np
import pytest

from features.group import EVER_NAME, Extra, Group, GroupError, Window, ever
from tests.unit.features.build import group


def test_columns_are_named_by_group_aggregate_and_window() -> None:
    made = group(
        name="card", aggregates=("count", "mean"), others=("user",), distinct=(Window("1m", 10_000, 6),), exact=4
    )
    assert made.columns == (
        "card_count_10s",
        "card_mean_10s",
        "card_count_1m",
        "card_mean_1m",
        "card_distinct_users_1m",
        "card_since_last_s",
        "card_since_first_s",
    )


def test_a_window_starts_at_a_tile_and_holds_the_open_one() -> None:
    window = Window("3 tiles", 1_000, 3)
    #  end      2999  3000  3001  3999  4000   3 tiles of 1 s, the last one open
    assert window.cut(np.array([2_999, 3_000, 3_001, 3_999, 4_000])).tolist() == [0, 1_000, 1_000, 1_000, 2_000]


def test_ever_has_no_start() -> None:
    assert ever("count").cut(np.array([10**13])).tolist() == [0]
    assert ever().name == EVER_NAME


def test_default_windows_are_those_of_the_documentation() -> None:
    made = Group("user", 1, "user")
    assert [(w.name, w.reach_ms) for w in made.windows] == [
        ("10m", 600_000),
        ("1h", 3_600_000),
        ("24h", 86_400_000),
        ("7d", 7 * 86_400_000),
        ("30d", 30 * 86_400_000),
    ]
    assert made.ladder == (60_000, 3_600_000, 21_600_000, 86_400_000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "not a name"}, "letters, digits"),
        ({"layout": 32}, "layout 32"),
        ({"layout": 0}, "layout 0"),
        ({"others": ("a", "b", "c", "d")}, "at most 3"),
        ({"exact": 0}, "exact 0"),
        ({"cap": 0}, "cap 0"),
        ({"grace_ms": -1}, "grace -1"),
        ({"money": 256}, "money 0x100"),
        ({"windows": ()}, "no window with a start"),
        ({"windows": (Window("x", 10, 3),)}, "want >= 1,000 ms"),
        ({"windows": (Window("x", 2_000, 3), Window("y", 3_000, 3))}, "2000 ms do not divide tiles of 3000 ms"),
        ({"windows": (Window("x", 1_000, 3), Window("x", 1_000, 4))}, "one name"),
        ({"windows": (Window("x", 1_000, 3), ever())}, "forever=True"),
        ({"distinct": (ever(),), "others": ("a",)}, "cannot be counted without a start"),
        ({"aggregates": ("extra",)}, "needs the group's `extra"),
    ],
)
def test_an_impossible_group_is_refused_with_its_name_the_value_and_the_remedy(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(GroupError, match=message.replace("(", r"\(")) as raised:
        group(**changes)
    assert str(changes.get("name", "g")) in str(raised.value)


def test_the_definition_changes_with_anything_that_decides_a_value() -> None:
    extra = Extra("x", lambda at, _a, _f: at, "max")
    changes: list[dict[str, object]] = [
        {"grace_ms": 1},
        {"exact": 5},
        {"others": ("a",)},
        {"aggregates": ("count",)},
        {"extra": extra},
        {"money": 2},
        {"recency": False},
        {"span": True},
        {"windows": (Window("10s", 1_000, 10), Window("1m", 10_000, 7))},
    ]
    texts = {group(**change).definition for change in changes}
    assert len(texts | {group().definition}) == len(changes) + 1
