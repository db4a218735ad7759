"""An order is held against what its account did before it, and the order itself is no part of that."""

from __future__ import annotations

from serving.past import Line, past_of

ROBBED = {
    "order_amount": 900.0,
    "user_count_1h": 3.0,
    "user_count_24h": 3.0,
    "user_count_7d": 6.0,
    "user_count_30d": 11.0,
    "user_sum_30d": 1400.0,
    "user_new_device_30d": 1.0,
    "user_new_country_30d": 0.0,
}


def test_the_amount_is_held_against_the_average_of_the_orders_before() -> None:
    amount, hour, day = past_of(ROBBED).lines
    assert amount == Line("amount", 900.0, 50.0)
    assert hour == Line("orders within an hour", 3.0, 3 / 167)
    assert day == Line("orders within a day", 3.0, 8 / 29)


def test_of_a_first_order_nothing_is_usual() -> None:
    new = {"order_amount": 5.0, "user_count_30d": 1.0, "user_sum_30d": 5.0, "user_count_1h": 1.0, "user_count_7d": 1.0}
    assert past_of(new).is_new
    assert past_of(new).lines == ()


def test_what_the_account_has_not_had_before_is_named() -> None:
    assert past_of(ROBBED).first == ("device",)


def test_a_vector_of_other_features_has_nothing_to_say() -> None:
    assert past_of({"country_count_1h": 3.0}).lines == ()
