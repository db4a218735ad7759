"""A shop adds features to ours: they come last, and nothing that was there changes."""

from __future__ import annotations

import pytest

from features.definitions import DefinitionsError
from features.feature import Count, Feature, Max
from features.kinds import ORDERED
from features.shop import shop_definitions
from features.window import MINUTE_MS, Window
from tests.unit.features.test_shop import SHOP, Worker, order, visit

HALF_AN_HOUR = Window("30m", MINUTE_MS, 30)
MINE = shop_definitions(
    more={
        "card": [Feature(Count(), HALF_AN_HOUR, of=ORDERED), Feature(Max(), HALF_AN_HOUR, of=ORDERED)],
        "session": [Feature(Count(), HALF_AN_HOUR)],
    }
)
NEW = ("card_count_30m", "card_max_30m", "session_count_30m")
EVENTS = [order(second, event_id=f"e{second}", order_id=f"o{second}", value=20.0 + second) for second in range(3)]


def test_their_columns_come_last_and_those_before_stay_what_they_were() -> None:
    assert MINE.vector.names == (*SHOP.vector.names, *NEW)
    for before, now in zip(Worker().range("orders", EVENTS), Worker(MINE).range("orders", EVENTS), strict=True):
        assert {name: now[name] for name in SHOP.vector.names} == before


def test_they_are_told_in_units_of_the_base_currency_as_all_money_is() -> None:
    last = Worker(MINE).range("orders", EVENTS)[-1]
    assert [last[name] for name in NEW] == [3, 22.0, 3]


def test_a_session_is_told_as_before() -> None:
    clicks = [visit("view_item", second) for second in range(3)]
    assert Worker(MINE).range("clickstream", clicks) == Worker().range("clickstream", clicks)


def test_they_have_words_and_the_vector_has_a_hash_of_its_own() -> None:
    assert MINE.vector.words["card_count_30m"] == "orders of the card within 30 minutes"
    assert MINE.vector.hash != SHOP.vector.hash
    assert MINE.contents["card"] == SHOP.contents["card"], "windows that tiles are kept for already: the state stays"


def test_a_group_that_the_vector_does_not_read_is_named() -> None:
    with pytest.raises(DefinitionsError, match="'cards': the vector reads card, category"):
        shop_definitions(more={"cards": [Feature(Count(), HALF_AN_HOUR)]})
