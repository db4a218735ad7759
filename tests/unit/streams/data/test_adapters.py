"""Recorded data as events: every event is one that the stream takes, ids and topics are as promised."""

import os
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

from schemas.decode import decode_batch
from streams.data.adapters import dataset
from streams.data.dataset import DataError, Dataset, Window
from streams.data.record import Record

DAY_MS = 86_400_000
APRIL_MS = 1_522_540_800_000  # 2018-04-01
HIT_MS = 1_470_000_000_000


@pytest.fixture
def handbook(tmp_path: Path) -> Dataset:
    rows = [(n, APRIL_MS + n * DAY_MS // 2, 100 + n % 3, 7, 10.0 + n, int(n in (2, 30))) for n in range(40)]
    names = ["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"]
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    columns["TX_DATETIME"] = pa.array(columns["TX_DATETIME"], pa.timestamp("ms")).cast(pa.timestamp("ns"))
    write(tmp_path / "fraud-handbook/transactions_raw.parquet", columns)
    return dataset("fraud-handbook", tmp_path, ())


def hit(seconds: int, hit_number: int, event: str, sku: str, **more: Any) -> dict[str, Any]:
    base = {"ts_ms": HIT_MS + seconds * 1000, "user_id": "42", "session_id": "42_1", "hit_number": hit_number}
    item = {"product_sku": sku, "product_name": sku.upper(), "product_category": "(not set)", "product_price": 2.5}
    return {**base, "event": event, **item, "quantity": 0, "transaction_id": None, "country": "Kenya", **more}


@pytest.fixture
def ga360(tmp_path: Path) -> Dataset:
    rows = [
        hit(0, 1, "click", "a", product_category="Home/"),
        hit(0, 2, "view", "a"),
        hit(5, 3, "addtocart", "a", quantity=2),
        hit(6, 4, "addtocart", "b", quantity=10**16),
        hit(9, 5, "checkout", "a", quantity=2, product_price=1.049),
        hit(9, 5, "checkout", "b", quantity=1, product_price=3.0),
        hit(20, 6, "transaction", "a", quantity=2, transaction_id="T1"),
        hit(20, 6, "transaction", "b", quantity=1, transaction_id="T1", product_price=3.0),
        hit(21, 7, "transaction", "a", transaction_id="T1"),
        hit(25, 8, "transaction", "a", quantity=2, transaction_id="T1"),
        hit(30, 9, "removefromcart", "a", quantity=1),
    ]
    write(tmp_path / "ga360-merch/events.parquet", {name: [row[name] for row in rows] for name in rows[0]})
    return dataset("ga360", tmp_path, ())


def write(path: Path, columns: dict[str, Any]) -> None:
    path.parent.mkdir()
    pyarrow.parquet.write_table(pa.table(columns), path)


def test_a_handbook_transaction_is_an_order_of_its_customer_at_its_terminal(handbook: Dataset) -> None:
    first = next(handbook.records(Window()))
    assert (first.topic, first.key, first.timestamp_ms) == ("orders", b"fh-customer-100", APRIL_MS)
    body = orjson.loads(first.value or b"")
    assert (body["order_id"], body["event_id"], body["merchant_id"]) == ("fh-0", "fh-0", "fh-terminal-7")
    assert (body["value"], body["event_time"]) == (10.0, "2018-04-01T00:00:00.000Z")
    assert dict(first.headers)["ce_id"] == b"fh-0"


def test_a_fraud_is_charged_back_seven_days_later_in_its_place_in_time(handbook: Dataset) -> None:
    records = list(handbook.records(Window()))
    labels = [record for record in records if record.topic == "labels"]
    assert [record.timestamp_ms for record in labels] == [APRIL_MS + 8 * DAY_MS, APRIL_MS + 22 * DAY_MS]
    assert orjson.loads(labels[0].value or b"")["order_id"] == "fh-2"
    assert len(records) == 42
    in_time_order(records)
    accepted(records)


def test_a_window_has_the_orders_and_the_labels_of_its_time(handbook: Dataset) -> None:
    window = Window(APRIL_MS + 2 * DAY_MS, APRIL_MS + 20 * DAY_MS)
    records = list(handbook.records(window))
    assert [(r.topic, r.timestamp_ms) for r in records if r.topic == "labels"] == [("labels", APRIL_MS + 8 * DAY_MS)]
    assert len(records) == 36 + 1
    assert all(window.holds(record.timestamp_ms or 0) for record in records)


@pytest.mark.parametrize("cut_ms", [0, 5 * DAY_MS, 8 * DAY_MS, 8 * DAY_MS + 1, 19 * DAY_MS, 25 * DAY_MS])
def test_a_replay_in_two_parts_sends_what_one_would(handbook: Dataset, cut_ms: int) -> None:
    cut_ms += APRIL_MS
    parts = [*handbook.records(Window(until_ms=cut_ms)), *handbook.records(Window(since_ms=cut_ms))]
    assert parts == list(handbook.records(Window()))


def test_a_data_set_knows_its_span_without_being_read(handbook: Dataset, ga360: Dataset) -> None:
    assert handbook.span_ms == (APRIL_MS, APRIL_MS + 39 * DAY_MS // 2 + 7 * DAY_MS)
    assert ga360.span_ms == (HIT_MS, HIT_MS + 30_000)
    assert Window(until_ms=HIT_MS + 5).within(ga360.span_ms) == (HIT_MS, HIT_MS + 5)


def test_store_hits_are_clicks_views_carts_checkouts_and_one_purchase(ga360: Dataset) -> None:
    records = list(ga360.records(Window()))
    assert [(record.topic, orjson.loads(record.value or b"")["type"]) for record in records] == [
        ("clickstream", "select_item"),
        ("clickstream", "view_item"),
        ("cart", "add_to_cart"),
        ("cart", "add_to_cart"),
        ("cart", "begin_checkout"),
        ("orders", "purchase"),
        ("cart", "remove_from_cart"),
    ]
    in_time_order(records)
    assert accepted(records) == [b'"quantity":10000000000000000']  # the one that no shop can mean


def test_a_reloaded_receipt_is_one_purchase_with_each_product_once(ga360: Dataset) -> None:
    (order,) = [orjson.loads(r.value or b"") for r in ga360.records(Window()) if r.topic == "orders"]
    assert (order["order_id"], order["value"], order["event_time"]) == ("T1", 8.0, "2016-07-31T21:20:20.000Z")
    assert [(item["item_id"], item["quantity"]) for item in order["items"]] == [("a", 2), ("b", 1)]


def test_a_checkout_carries_no_price_and_a_view_no_quantity(ga360: Dataset) -> None:
    bodies = [orjson.loads(record.value or b"") for record in ga360.records(Window())]
    checkout = next(body for body in bodies if body["type"] == "begin_checkout")
    assert [item.get("price") for item in checkout["items"]] == [None, None]
    assert [item["item_id"] for item in checkout["items"]] == ["a", "b"]
    assert "quantity" not in bodies[1]["items"][0]


def test_a_file_of_events_travels_byte_for_byte_to_the_topics_of_its_types(tmp_path: Path) -> None:
    lines = [
        b'{"type": "purchase", "event_time": "2026-01-01T00:00:00Z", "user_id": "u", "n": 1e2}',
        b'{"type":"chargeback","event_time":"2026-01-01T00:00:01Z","order_id":"o"}',
    ]
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(lines) + b"\n\n")
    records = list(dataset(str(path), None, ()).records(Window()))
    assert [(record.topic, record.key, record.value) for record in records] == [
        ("orders", b"u", lines[0]),
        ("labels", b"o", lines[1]),
    ]
    named = dataset(str(path), None, ("mine",))
    assert [record.topic for record in named.records(Window())] == ["mine", "mine"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"{", "line 2: not JSON"),
        (b"[]", "line 2: not a JSON object"),
        (b'{"type":"purchase"}', "line 2: event_time None is no RFC 3339 time"),
        (b'{"type":"odd","event_time":"2026-01-01T00:00:00Z"}', "line 2: type 'odd' belongs to no input topic"),
    ],
)
def test_a_bad_line_of_a_file_is_named(tmp_path: Path, line: bytes, complaint: str) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n" + line)
    with pytest.raises(DataError, match=complaint):
        list(dataset(str(path), None, ()).records(Window()))


def test_absent_data_is_an_error_that_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--data DIR or HEADRACE_DATA"):
        dataset("fraud-handbook", None, ())
    with pytest.raises(DataError, match=str(tmp_path)):
        dataset("ga360", tmp_path, ())
    with pytest.raises(DataError, match="did you mean ga360"):
        dataset("ga36", tmp_path, ())


def test_a_topic_that_a_data_set_lacks_is_refused(handbook: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fraud-handbook has no events for cart: it has orders, labels"):
        dataset(handbook.name, tmp_path, ("cart",))


def test_without_pyarrow_the_extra_is_named(handbook: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"headrace\[history\]"):
        next(handbook.records(Window()))


def in_time_order(records: list[Record]) -> None:
    times = [record.timestamp_ms or 0 for record in records]
    assert times == sorted(times)


def accepted(records: list[Record]) -> list[bytes]:
    """Each record is one that its topic's decoder takes; returns what is wrong with the others."""
    wrong = []
    for record in records:
        if decode_batch(record.topic, [record.value]).faults:
            assert record.value is not None
            wrong.append(record.value[record.value.index(b'"quantity"') :].split(b"}")[0])
    return wrong


@pytest.mark.skipif("HEADRACE_DATA" not in os.environ, reason="HEADRACE_DATA does not name the recorded data")
@pytest.mark.parametrize("name", ["fraud-handbook", "ga360"])
def test_a_day_of_the_recorded_data_is_events_in_time_order_that_the_stream_takes(name: str) -> None:
    recorded = dataset(name, Path(os.environ["HEADRACE_DATA"]), ())
    assert recorded.span_ms is not None
    records = list(recorded.records(Window(until_ms=recorded.span_ms[0] + DAY_MS)))
    assert len(records) > 1_000
    in_time_order(records)
    assert not accepted(records)
