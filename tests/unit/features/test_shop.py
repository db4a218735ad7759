from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from features.columns import Columns
from features.definitions import Definitions
from features.entry import own_of
from features.fold import fold
from features.payload import payloads
from features.shop import SESSION, SESSION_NAMES, shop_definitions
from schemas.money import Rates
from tests.oracle.shelf import Shelf

SHOP = shop_definitions()


def order(second: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "type": "purchase",
        "event_id": f"e{second}",
        "event_time": f"2026-03-07T12:00:{second:02d}.000Z",
        "user_id": "u1",
        "session_id": "s1",
        "order_id": "o1",
        "value": 20.0,
        "currency": "EUR",
        "items": [{"item_id": "i1", "price": 10.0, "quantity": 2}],
        "card_id": "c1",
        "device_id": "d1",
        "ip": "10.0.0.1",
        "merchant_id": "m1",
        **changes,
    }


def visit(kind: str, second: int, **changes: Any) -> dict[str, Any]:
    fixed = {"event_id": f"v{second}", "event_time": f"2026-03-07T12:00:{second:02d}.000Z", "user_id": "u1"}
    return {"type": kind, "session_id": "s1", **fixed, **changes}


class Worker:
    """The worker's steps over a shelf, without a log or a store."""

    def __init__(self, definitions: Definitions = SHOP) -> None:
        self.definitions = definitions
        self.shelves = {group.name: Shelf() for group in definitions.groups}

    def range(self, topic: str, events: list[dict[str, Any]]) -> list[dict[str, float]]:
        flow = next(flow for flow in self.definitions.flows if flow.topic == topic)
        decoded = flow.decode([json.dumps(event).encode() for event in events])
        assert not decoded.faults
        assert flow.identify(decoded.events) == [event["event_id"] for event in events]
        columns = flow.columns(decoded.events, decoded.at_ms)
        folded = {group.name: self.fold(group.name, columns) for group in flow.groups}
        vector = self.definitions.vector if flow.scored else self.definitions.session
        if vector is None or not set(vector.groups) <= set(flow.groups):
            return []
        return [dict(zip(vector.names, row, strict=True)) for row in vector.rows(columns, folded).tolist()]

    def fold(self, name: str, columns: Columns) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        group = next(group for group in self.definitions.groups if group.name == name)
        entities, own = own_of(group, columns)
        entries = payloads(group, own, len(entities))
        number, before = self.shelves[name].apply(dict(zip(entities, entries, strict=True)))
        return fold(group, list(before.values()), np.full(len(entities), number, np.uint64), own)


def test_an_order_is_remembered_by_each_of_its_entities() -> None:
    worker = Worker()
    worker.range("orders", [order(1), order(2, user_id="u2", device_id="d2", value=30.0)])
    [row] = worker.range("orders", [order(5, ip="10.0.0.9", value=40.0)])
    assert row["user_count_1h"] == 2
    assert row["card_count_10m"] == row["merchant_count_30d"] == 3
    assert (row["card_sum_24h"], row["card_max_7d"], row["card_mean_1h"]) == (90.0, 40.0, 30.0)
    assert (row["card_distinct_users_24h"], row["card_distinct_devices_24h"], row["card_distinct_ips_24h"]) == (2, 2, 2)
    assert (row["ip_count_1h"], row["ip_since_last_s"], row["user_since_last_s"]) == (1, -1, 4)


def test_an_accounts_last_orders_are_told_one_by_one_in_units_of_the_base_currency() -> None:
    worker = Worker()
    worker.range("orders", [order(1, value=30.0), order(3, value=12.5, device_id="d2")])
    known = {"order_id": "o1", "decision_id": "0" * 32, "turn": 1, "fraud": True, "delta": 1}
    worker.range("outcomes", [visit("outcome", 3, **known)])  # no order of its own
    [row] = worker.range("orders", [order(9, value=40.0)])
    assert [row[f"user_recent_amount_{nth}"] for nth in (1, 2, 3, 8)] == [12.5, 30.0, 0, 0]
    assert [row[f"user_recent_gap_s_{nth}"] for nth in (1, 2, 3, 8)] == [6, 8, -1, -1]
    assert [row[f"user_recent_same_device_{nth}"] for nth in (1, 2, 3, 8)] == [0, 1, -1, -1]


def test_the_orders_own_columns() -> None:
    [row] = Worker().range("orders", [order(billing_country="DE", shipping_country="FR")])
    assert (row["order_amount"], row["order_items"], row["order_quantity"]) == (20.0, 1, 2)
    assert (row["order_countries_differ"], row["order_hour"], row["order_weekend"]) == (1, 12, 1)


@pytest.mark.parametrize("missing", ["card_id", "device_id", "ip", "merchant_id", "session_id"])
def test_an_order_without_an_entity_has_zeros_for_it(missing: str) -> None:
    lacking = {key: value for key, value in order().items() if key != missing}
    [row] = Worker().range("orders", [lacking])
    group = missing.removesuffix("_id")
    assert all(value == 0 for name, value in row.items() if name.startswith(f"{group}_count"))
    assert np.isfinite(list(row.values())).all()


def test_amounts_of_other_currencies_are_summed_in_the_base_currency() -> None:
    rates = Rates("EUR", {"2026-01-01": {"EUR": 1.0, "USD": 0.5, "JPY": 0.01}})
    worker = Worker(shop_definitions(rates))
    rows = worker.range("orders", [order(1, value=10.0, currency="USD"), order(2, value=300.0, currency="JPY")])
    assert (rows[1]["order_amount"], rows[1]["user_sum_1h"]) == (3.0, 8.0)


def test_a_session_is_followed_over_three_topics() -> None:
    worker = Worker()
    worker.range("clickstream", [visit("page_view", 0), visit("view_item", 10, items=[{"item_id": "i1"}])])
    worker.range(
        "cart",
        [
            visit("add_to_cart", 20, items=[{"item_id": "i2", "price": 5.0, "quantity": 3}]),
            visit("remove_from_cart", 25, value=5.0, items=[{"item_id": "i2"}]),
            visit("begin_checkout", 30),
        ],
    )
    [row] = worker.range("orders", [order(40)])
    assert [row[name] for name in SESSION_NAMES] == [6, 2, 10.0, 30.0, 6.0]


def test_a_topic_that_lags_does_not_make_a_bot_of_a_session() -> None:
    """Ninety views in a minute and a half: a cart event of the first second comes in behind all of them."""
    worker = Worker()
    views = [
        visit("view_item", 0, event_id=f"w{n}", event_time=f"2026-03-07T12:0{n // 30}:{n % 30 * 2:02d}.000Z")
        for n in range(90)
    ]
    last = worker.range("clickstream", views)[-1]
    [late] = worker.range("cart", [visit("add_to_cart", 1, items=[{"item_id": "i2"}])])
    assert last["session_events_per_minute"] == 90 / (178 / 60)
    assert late["session_events_per_minute"] == 91 / (178 / 60)


def test_a_session_without_a_checkout_says_so() -> None:
    [row] = Worker().range("clickstream", [visit("page_view", 0)])
    assert {name: row[name] for name in SESSION_NAMES} == dict(zip(SESSION_NAMES, [1, 0, 0, -1, 1], strict=True))


def test_of_a_session_its_pace_and_of_its_visitor_the_failures_are_told() -> None:
    views = [visit("view_item", 10 * i, visitor_id="v1", items=[{"item_id": f"i{i % 2}"}]) for i in range(3)]
    failed = visit("login_failed", 50, visitor_id="v1", failure="password")
    row = Worker().range("clickstream", [*views, failed])[-1]
    assert (row["session_span_s"], row["session_since_last_s"], row["session_pace_s"]) == (50, 30, 50 / 3)
    assert row["session_products_per_event"] == 0.5
    assert (row["visitor_count_1h"], row["visitor_failed_logins_1h"], row["visitor_declined_1h"]) == (4, 1, 0)


def test_a_bot_is_visible_in_its_session() -> None:
    rows = Worker().range("clickstream", [visit("view_item", 0, items=[{"item_id": f"i{i}"}]) for i in range(200)])
    assert rows[-1]["session_events_per_minute"] == 200
    assert rows[-1]["session_distinct_products"] == pytest.approx(200, rel=0.5)


def test_labels_are_read_and_added_to_nothing() -> None:
    worker = Worker()
    label = {"type": "chargeback", "event_id": "l1", "event_time": "2026-03-07T12:00:00Z", "order_id": "o1"}
    assert worker.range("labels", [label | {"user_id": "u1"}]) == []


def test_every_column_has_a_name_of_its_own_and_the_table_of_rates_is_a_constant() -> None:
    assert len(set(SHOP.vector.names)) == len(SHOP.vector.names)
    assert SHOP.constants == {"rates": Rates().fingerprint()}
    assert SHOP.longest_ms == 37 * 86_400_000
    assert SESSION in SHOP.groups


def test_an_order_and_the_accounts_last_days_are_held_against_its_month() -> None:
    worker = Worker()
    for day, value in enumerate(
        (20.0, 10.0, 30.0, 100.0)
    ):  # the last within 24 hours and a week of the one asked about
        at = f"2026-03-{(1, 2, 3, 20)[day]:02d}T12:00:00.000Z"
        worker.range("orders", [order(event_id=f"a{day}", order_id=f"a{day}", event_time=at, value=value)])
    [row] = worker.range(
        "orders", [order(event_id="b", order_id="b", event_time="2026-03-20T13:00:00.000Z", value=40.0)]
    )
    assert row["user_mean_30d"] == 40.0
    assert row["user_order_to_mean_30d"] == 1.0
    assert row["user_order_to_max_30d"] == 0.4
    assert row["user_mean_7d_to_mean_30d"] == 70 / 40
    assert row["user_max_7d_to_mean_30d"] == row["user_max_24h_to_mean_30d"] == 2.5


def test_against_a_month_of_nothing_there_is_nothing_to_say() -> None:
    [row] = Worker().range("orders", [order(value=0.0)])
    assert row["user_mean_30d"] == 0.0
    assert row["user_order_to_mean_30d"] == row["user_max_7d_to_mean_30d"] == 0.0
