"""The simulated shop: a seeded stream in time order that every decoder takes, with attacks one can find."""

from collections import Counter, defaultdict
from itertools import islice, takewhile
from typing import Any

import orjson
import pytest

from schemas.decode import decode_batch
from schemas.timestamps import epoch_ms
from schemas.topics import INPUTS, WRITTEN_INPUTS
from simulation.event import Event, Truth
from simulation.shop import Plan, Shop, until_orders

START_MS = 1_700_000_000_000


def live(seed: int = 7, start_ms: int = START_MS, minutes: float = 2.0) -> list[Event]:
    until = start_ms + minutes * 60_000
    return list(takewhile(lambda event: event.at_ms < until, Shop(Plan.live(seed), start_ms).events()))


@pytest.fixture(scope="module")
def two_minutes() -> list[Event]:
    return live()


def test_the_same_seed_and_start_give_the_same_bytes(two_minutes: list[Event]) -> None:
    assert live() == two_minutes


@pytest.mark.parametrize(("seed", "start_ms"), [(8, START_MS), (7, START_MS + 60_000)])
def test_another_seed_or_start_gives_other_ids_and_times(two_minutes: list[Event], seed: int, start_ms: int) -> None:
    other = live(seed, start_ms)
    assert not {event.event_id for event in other} & {event.event_id for event in two_minutes}
    assert not {event.order_id for event in other if event.order_id} & {e.order_id for e in two_minutes if e.order_id}
    assert [event.at_ms for event in other][:100] != [event.at_ms for event in two_minutes][:100]


def test_events_come_in_time_order_and_none_before_the_start(two_minutes: list[Event]) -> None:
    times = [event.at_ms for event in two_minutes]
    assert times == sorted(times)
    assert times[0] >= START_MS


def test_the_shop_is_busy_from_the_first_second_on() -> None:
    first = [event for event in live(minutes=1.0) if event.truth is Truth.NORMAL and event.topic == "orders"]
    assert first[0].at_ms - START_MS < 2_000
    assert len(first) > 200  # 20 visits a second, of which 3 in 10 buy: 360 in a minute


def test_every_input_topic_gets_events_that_its_decoder_takes(two_minutes: list[Event]) -> None:
    for topic in [name for name in INPUTS if name not in WRITTEN_INPUTS]:
        values = [event.value for event in two_minutes if event.topic == topic]
        assert len(values) > 20, topic
        assert not decode_batch(topic, values).faults


def test_what_travels_beside_an_event_is_what_its_value_says(two_minutes: list[Event]) -> None:
    for event in two_minutes:
        body = orjson.loads(event.value)
        assert (body["event_id"], body.get("order_id")) == (event.event_id, event.order_id)
        label_of = body["order_id"] if event.topic == "labels" else None
        assert event.key.decode() == body.get("user_id", body.get("visitor_id", label_of))
        assert epoch_ms([body["event_time"]])[0][0] == event.at_ms == event.send_ms


def test_event_ids_never_repeat(two_minutes: list[Event]) -> None:
    assert len({event.event_id for event in two_minutes}) == len(two_minutes)


def test_an_order_is_worth_the_sum_of_its_items(two_minutes: list[Event]) -> None:
    for order in orders(two_minutes):
        lines = sum(round(item["price"] * 100) * item["quantity"] for item in order["items"])
        assert round(order["value"] * 100) == lines


def test_every_kind_of_attack_is_seen_within_two_minutes(two_minutes: list[Event]) -> None:
    assert {event.truth for event in two_minutes} == set(Truth) - {Truth.GARBAGE}


def test_a_card_tester_tries_many_cards_from_one_device(two_minutes: list[Event]) -> None:
    cards = defaultdict(set)
    for order in orders(two_minutes, Truth.CARD_TESTING):
        cards[order["device_id"]].add(order["card_id"])
    assert max(map(len, cards.values())) >= 20


def test_no_customer_orders_as_often_as_a_machine(two_minutes: list[Event]) -> None:
    """Eight orders within ten minutes is what the shipped rules take for a machine."""
    often = Counter(order["user_id"] for order in orders(two_minutes, Truth.NORMAL))
    assert max(often.values()) < 8


def test_a_stolen_card_is_used_on_another_device_than_its_owners(two_minutes: list[Event]) -> None:
    owned = {order["device_id"] for order in orders(two_minutes, Truth.NORMAL)}
    stolen = orders(two_minutes, Truth.STOLEN_CARD)
    assert stolen
    assert not {order["device_id"] for order in stolen} & owned
    assert all(order["shipping_country"] != order["billing_country"] for order in stolen)


def test_a_device_ring_is_many_users_on_one_device(two_minutes: list[Event]) -> None:
    users = defaultdict(set)
    for order in orders(two_minutes, Truth.DEVICE_RING):
        users[order["device_id"]].add(order["user_id"])
    assert max(map(len, users.values())) >= 8


def test_every_fraud_is_charged_back_later_and_no_normal_order_is(two_minutes: list[Event]) -> None:
    charged = {event.order_id: event for event in two_minutes if b'"type":"chargeback"' in event.value}
    assert charged
    by_id = {event.order_id: event for event in two_minutes if event.topic == "orders"}
    for order_id, label in charged.items():
        assert by_id[order_id].truth.fraud
        assert label.at_ms > by_id[order_id].at_ms


def test_no_attacks_where_none_are_asked_for() -> None:
    quiet = Shop(Plan(attack_every_s=0.0), START_MS).events()
    assert {event.truth for event in islice(quiet, 5_000)} == {Truth.NORMAL}


def test_a_stress_plan_makes_its_orders_in_about_its_days() -> None:
    events = list(until_orders(Shop(Plan.stress(5_000, days=2.0), START_MS).events(), 5_000))
    assert sum(event.topic == "orders" for event in events) == 5_000
    assert events[-1].topic == "orders"
    assert (events[-1].at_ms - START_MS) / 86_400_000 == pytest.approx(2.0, rel=0.1)


def test_a_busier_shop_is_the_same_shop_with_more_visits() -> None:
    def visits(rate: float) -> int:
        events = Shop(Plan(attack_every_s=0.0).with_rate(rate), START_MS).events()
        return sum(1 for _ in takewhile(lambda event: event.at_ms < START_MS + 60_000, events))

    assert visits(40.0) == pytest.approx(4 * visits(10.0), rel=0.2)


def orders(events: list[Event], truth: Truth | None = None) -> list[dict[str, Any]]:
    return [orjson.loads(e.value) for e in events if e.topic == "orders" and (truth is None or e.truth is truth)]


def test_an_attack_out_of_turn_is_at_once_and_among_all_others() -> None:
    at_ms, shop = START_MS + 30_000, Shop(Plan.live(), START_MS)
    events = shop.events()
    list(takewhile(lambda event: event.at_ms < at_ms, events))
    user, orders = shop.strike(at_ms)
    after = list(takewhile(lambda event: event.at_ms < at_ms + 30_000, events))
    assert [event.at_ms for event in after] == sorted(event.at_ms for event in after)
    found = [event for event in after if event.topic == "orders" and event.key.decode() == user]
    assert [event.order_id for event in found] == orders
    assert {event.truth for event in found} == {Truth.CARD_TESTING}
    assert 20 <= len(orders) <= 40
    assert found[-1].at_ms - at_ms < 15_000
    assert len(after) > 10 * len(orders)
