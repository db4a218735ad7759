"""What features are called where a person reads them."""

from __future__ import annotations

import pytest

from features.feature import RECENCY, Count, Distinct, Feature, Measure, Measured, New, Ratio, Share, each
from features.group import Group
from features.sequence import recent
from features.shop import order_vector, session_vector
from features.vector import Vector
from features.window import DAY_MS, EVER, HOUR_MS, MINUTE_MS, WINDOW_1H, Window
from features.words import in_words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("order_amount", "amount of the order"),
        ("user_max_7d", "largest order of the account within a week"),
        ("card_count_10m", "orders of the card within 10 minutes"),
        ("ip_distinct_users_24h", "different accounts of the address within a day"),
        ("merchant_sum_30d", "sum of the merchant's orders within 30 days"),
        ("user_recent_amount_1", "amount of the order before, of the account"),
        ("user_recent_gap_s_2", "seconds from the 2nd order before to this one, of the account"),
        ("user_recent_same_device_3", "same device as the 3rd order before, of the account, 1: yes"),
    ],
)
def test_a_feature_of_the_shop_has_plain_words(name: str, words: str) -> None:
    assert order_vector().words[name] == words


@pytest.mark.parametrize("vector", [order_vector(), session_vector()])
def test_every_feature_of_the_shop_has_words_of_its_own(vector: Vector) -> None:
    assert set(vector.words) == set(vector.names)
    assert len(set(vector.words.values())) == len(vector.names)


def test_words_are_no_part_of_what_a_model_is_made_for() -> None:
    vector = order_vector()
    assert type(vector)(vector.names, vector.groups, vector.fill).hash == vector.hash


def test_places_of_a_sequence_are_counted_as_people_do() -> None:
    group = Group("g", 1, "who", (Feature(Count(), WINDOW_1H), *recent(23)), keep=23)
    said = in_words([group], {}, "visit")
    starts = {
        nth: said[f"g_recent_amount_{nth}"].removeprefix("amount of the ").split()[0] for nth in (4, 11, 13, 21, 22)
    }
    assert starts == {4: "4th", 11: "11th", 13: "13th", 21: "21st", 22: "22nd"}


def test_a_group_of_your_own_is_called_by_its_name_unless_it_is_given_a_noun() -> None:
    ninety, two_days = Window("90m", MINUTE_MS, 90), Window("2d", HOUR_MS, 48)
    group = Group(
        "shelf",
        layout=1,
        entity="shelf",
        features=(
            *each((ninety, EVER), Count()),
            Feature(Measured(Measure("weight", lambda _at, amount, _flags: amount)), two_days),
            Feature(Distinct("bus"), WINDOW_1H),
            Feature(New("bus"), WINDOW_1H),
            Feature(Ratio(two_days), ninety),
            Feature(Count(), ninety, of=2, name="thefts"),
            Feature(Share(2), two_days, delay_ms=7 * DAY_MS),
            *RECENCY,
        ),
        forever=True,
    )
    assert in_words([group], {}, "visit", {2: "theft"}) == {
        "shelf_count_90m": "visits of the shelf within 90 minutes",
        "shelf_weight_2d": "weight of the shelf within 2 days",
        "shelf_new_bus_1h": "bus not seen before with the shelf, 1: yes, within an hour",
        "shelf_pace_90m": "pace, against that within 2 days, of the shelf's visits within 90 minutes",
        "thefts": "thefts of the shelf within 90 minutes",
        "shelf_risk_2d": "share of the shelf's visits known as fraud within 2 days, as of a week before",
        "shelf_count_ever": "visits of the shelf",
        "shelf_distinct_buss_1h": "different buses of the shelf within an hour",
        "shelf_since_last_s": "seconds since the visit before, of the shelf",
        "shelf_since_first_s": "seconds since the first visit of the shelf",
    }
    assert "visits of the tray" in in_words([group], {"shelf": "tray"}, "visit").values()
