"""Decoding: what is good comes out typed, what is bad comes out with its reason and its place."""

from __future__ import annotations

import json
import math
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import events
from schemas.decode import MAX_DEPTH, PLAIN_BYTES, Fault, Reason, decode_batch, decode_one
from schemas.events import Order
from schemas.topics import INPUTS, MAX_RECORD_BYTES
from tests.unit.schemas.builders import AT_MS, ORDER, line, minimal, order, packed, without

GOOD = packed(ORDER)
TYPES = [
    *[("orders", "purchase")],
    *[("clickstream", events.type_of(shape)) for shape in events.Clickstream.__args__],
    *[("cart", events.type_of(shape)) for shape in events.Carts.__args__],
    *[("labels", events.type_of(shape)) for shape in events.Labels.__args__],
    *[("outcomes", "outcome")],
]


def fault(value: bytes | None, topic: str = "orders") -> tuple[str, str]:
    """Reason and path of a record that must be refused."""
    read = decode_one(topic, value)
    assert isinstance(read, Fault), f"accepted: {read}"
    assert read.detail
    return read.reason.value, read.path


def accepted(value: bytes, topic: str = "orders") -> Any:
    read = decode_one(topic, value)
    assert not isinstance(read, Fault), read
    return read


def test_a_good_order_comes_out_typed() -> None:
    decoded = decode_batch("orders", [GOOD])
    (read,) = decoded.events
    assert isinstance(read, Order)
    assert (read.order_id, read.value, read.items[1].quantity, read.visitor_id) == ("o-123456789", 129.97, 2, None)
    assert decoded.at_ms.tolist() == [AT_MS]
    assert not decoded.faults


@pytest.mark.parametrize(("topic", "kind"), TYPES)
def test_the_least_of_every_type_is_accepted(topic: str, kind: str) -> None:
    assert events.type_of(accepted(packed(minimal(topic, kind)), topic)) == kind


@pytest.mark.parametrize(("topic", "kind"), TYPES)
def test_a_type_belongs_to_one_topic(topic: str, kind: str) -> None:
    for other in set(INPUTS) - {topic}:
        assert fault(packed(minimal(other, kind)), other) == ("unknown_type", "$.type")


BAD = {
    "no value": (None, "empty", "$"),
    "an empty value": (b"", "empty", "$"),
    "a byte that is no UTF-8": (GOOD.replace(b"Trail", b"\xff\xfe"), "not_utf8", "$.items[0].item_name"),
    "no UTF-8 in a field that we do not know": (GOOD[:-1] + b',"x":{"y":["","\xc3("]}}', "not_utf8", "$.x.y[1]"),
    "a surrogate in UTF-8": (GOOD.replace(b"u-12345", b"\xed\xa0\x80"), "not_utf8", "$.user_id"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "not_utf8", "$"),
    "text": (b"hello", "not_json", "$"),
    "spaces": (b"   ", "not_json", "$"),
    "half an object": (GOOD[:-1], "not_json", "$.payment_method"),
    "something behind the object": (GOOD + b"x", "not_json", "$"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, "not_json", "$"),
    "a raw control character": (GOOD.replace(b"Wool", b"Wo\nl"), "not_json", "$.items[1].item_name"),
    "half a surrogate pair": (packed(order(card_id="\ud800")), "not_json", "$.card_id"),
    "a word that JSON lacks": (GOOD.replace(b"129.97", b"nil"), "not_json", "$.value"),
    "half a word": (GOOD.replace(b"129.97", b"tru"), "not_json", "$.value"),
    "a word behind null": (GOOD.replace(b'"u-12345"', b"null,x"), "not_json", "$"),
    "an array": (b"[]", "wrong_type", "$"),
    "null": (b"null", "wrong_type", "$"),
    "a number": (b"1", "wrong_type", "$"),
    "an id that is a number": (packed(order(event_id=1)), "wrong_type", "$.event_id"),
    "a value that is a string": (packed(order(value="1")), "wrong_type", "$.value"),
    "a value that is true": (packed(order(value=True)), "wrong_type", "$.value"),
    "half a piece": (packed(line(quantity=1.5)), "wrong_type", "$.items[0].quantity"),
    "a quantity that is a string": (packed(line(quantity="2")), "wrong_type", "$.items[0].quantity"),
    "items that are an object": (packed(order(items={})), "wrong_type", "$.items"),
    "items that are null": (packed(order(items=None)), "wrong_type", "$.items"),
    "a line that is a string": (packed(order(items=["a"])), "wrong_type", "$.items[0]"),
    "a time that is a number": (packed(order(event_time=AT_MS)), "wrong_type", "$.event_time"),
    "a type that is a number": (packed(order(type=3)), "wrong_type", "$.type"),
    "no type": (packed(without("type")), "missing_field", "$.type"),
    "no event id": (packed(without("event_id")), "missing_field", "$.event_id"),
    "no time": (packed(without("event_time")), "missing_field", "$.event_time"),
    "no order id": (packed(without("order_id")), "missing_field", "$.order_id"),
    "no value in major units": (packed(without("value")), "missing_field", "$.value"),
    "no currency": (packed(without("currency")), "missing_field", "$.currency"),
    "no items": (packed(without("items")), "missing_field", "$.items"),
    "neither user nor visitor": (packed(without("user_id")), "missing_field", "$.user_id"),
    "a user that is null": (packed(order(user_id=None)), "missing_field", "$.user_id"),
    "a line without a price": (
        packed(order(items=[ORDER["items"][0], {"item_id": "i", "quantity": 1}])),
        "missing_field",
        "$.items[1].price",
    ),
    "NaN": (packed(order(value=math.nan)), "out_of_range", "$.value"),
    "infinity": (packed(line(price=math.inf)), "out_of_range", "$.items[0].price"),
    "minus infinity": (packed(line(price=-math.inf)), "out_of_range", "$.items[0].price"),
    "nan as C writes it": (GOOD.replace(b"129.97", b"nan"), "out_of_range", "$.value"),
    "infinity as C writes it": (GOOD.replace(b"129.97", b"-inf"), "out_of_range", "$.value"),
    "NaN in a field that we do not know": (packed(order(x=[{"y": math.nan}])), "out_of_range", "$.x[0].y"),
    "NaN before the type": (packed({"x": math.nan, **ORDER}), "out_of_range", "$.x"),
    "a number that is no double": (GOOD.replace(b"129.97", b"1e999"), "out_of_range", "$.value"),
    "a number of 400 digits": (packed(order(value=10**400)), "out_of_range", "$.value"),
    "a value below 0": (packed(order(value=-0.01)), "out_of_range", "$.value"),
    "a value above 1e9": (packed(order(value=1e9 + 1)), "out_of_range", "$.value"),
    "a price below 0": (packed(line(price=-1)), "out_of_range", "$.items[0].price"),
    "no piece": (packed(line(quantity=0)), "out_of_range", "$.items[0].quantity"),
    "too many pieces": (packed(line(quantity=100_001)), "out_of_range", "$.items[0].quantity"),
    "a quantity of 30 digits": (packed(line(quantity=10**30)), "out_of_range", "$.items[0].quantity"),
    "an order of nothing": (packed(order(items=[])), "out_of_range", "$.items"),
    "501 items": (
        packed(order(items=[{"item_id": "i", "price": 1, "quantity": 1}] * 501)),
        "too_many_items",
        "$.items",
    ),
    "10,000 items": (
        packed(order(items=[{"item_id": "i", "price": 1, "quantity": 1}] * 10_000)),
        "too_many_items",
        "$.items",
    ),
    "a record of 10 MB": (packed(order(note="x" * 10_000_000)), "too_large", "$"),
    "one byte too many": (GOOD[:-1] + b" " * (MAX_RECORD_BYTES + 1 - len(GOOD)) + b"}", "too_large", "$"),
    "yesterday": (packed(order(event_time="yesterday")), "bad_time", "$.event_time"),
    "a time without an offset": (packed(order(event_time="2026-01-15T12:34:56")), "bad_time", "$.event_time"),
    "30 February": (packed(order(event_time="2026-02-30T00:00:00.000Z")), "bad_time", "$.event_time"),
    "a currency that is none": (packed(order(currency="XXX")), "unknown_currency", "$.currency"),
    "a currency in small letters": (packed(order(currency="eur")), "unknown_currency", "$.currency"),
    "an empty currency": (packed(order(currency="")), "unknown_currency", "$.currency"),
    "an unknown type": (packed(order(type="gift")), "unknown_type", "$.type"),
    "an empty type": (packed(order(type="")), "unknown_type", "$.type"),
    "an empty id": (packed(order(user_id="")), "bad_id", "$.user_id"),
    "an id of 257 characters": (packed(order(order_id="x" * 257)), "bad_id", "$.order_id"),
    "an id of 257 umlauts": (packed(order(ip="ü" * 257), ascii_only=False), "bad_id", "$.ip"),
    "an escaped newline in an id": (packed(order(user_id="a\nb")), "bad_id", "$.user_id"),
    "an escaped NUL in an id": (packed(line(item_id="\x00")), "bad_id", "$.items[0].item_id"),
    "a raw DEL in an id": (packed(order(session_id="a\x7fb"), ascii_only=False), "bad_id", "$.session_id"),
    "a raw C1 in an id": (packed(order(card_id="\x85"), ascii_only=False), "bad_id", "$.card_id"),
    "an escaped C1 in an id": (packed(order(device_id="a\x9f")), "bad_id", "$.device_id"),
    "deeper than the stack": (GOOD[:-1] + b',"x":' + b"[" * 100_000, "not_json", "$"),
    "one level too deep": (
        GOOD[:-1] + b',"x":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
        "not_json",
        "$",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_has_its_reason_and_its_place(name: str) -> None:
    value, reason, path = BAD[name]
    assert fault(value) == (reason, path)


GOODS = {
    "unknown fields": packed(order(gift={"wrap": [True, None, {"paper": 1e-9}]})),
    "any order of the fields": packed(dict(reversed(ORDER.items()))),
    "null where a field may be missing": packed(order(card_id=None, ip=None, payment_method=None)),
    "a visitor for a user": packed({**without("user_id"), "visitor_id": "v"}),
    "an id of 256 umlauts": packed(order(user_id="ü" * 256), ascii_only=False),
    "an id of 256 faces": packed(order(user_id="😀" * 256)),
    "an id with a no-break space": packed(order(user_id="a\u00a0b"), ascii_only=False),
    "control characters elsewhere": packed(line(item_name="two\nlines\x7f")),
    "escaped slashes": GOOD.replace(b"Trail", rb"Tr\/il"),
    "a pair of surrogates in a field that we do not know": packed(order(note="😀")),
    "the year 2099 (the judge says future)": packed(order(event_time="2099-01-01T00:00:00Z")),
    "the year 1": packed(order(event_time="0001-01-01T00:00:00Z")),
    "nothing to pay": packed(order(value=0)),
    "1e9 to pay": packed(order(value=1e9)),
    "500 items": packed(order(items=[ORDER["items"][0]] * 500)),
    "the largest record": GOOD[:-1] + b" " * (MAX_RECORD_BYTES - len(GOOD)) + b"}",
    "the deepest nesting": GOOD[:-1] + b',"x":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}",
    "brackets in strings": packed(order(note="[{" * 5000)),
}


@pytest.mark.parametrize("name", GOODS)
def test_unusual_but_good_is_accepted(name: str) -> None:
    assert accepted(GOODS[name]).order_id == "o-123456789"


def test_a_label_may_come_without_a_user() -> None:
    label = {"type": "chargeback", "event_id": "e", "event_time": "2026-01-15T12:34:56Z", "order_id": "o"}
    assert events.key_of(accepted(packed(label), "labels")) == b"o"


def test_clicks_and_carts_need_a_user_or_a_visitor() -> None:
    click = {"type": "page_view", "event_id": "e", "event_time": "2026-01-15T12:34:56Z", "session_id": "s"}
    assert fault(packed(click), "clickstream") == ("missing_field", "$.user_id")
    assert fault(packed({**click, "type": "view_cart"}), "cart") == ("missing_field", "$.user_id")


def test_a_product_that_was_looked_at_needs_only_its_id() -> None:
    click = {**minimal("clickstream", "view_item"), "items": [{"item_id": "sku"}]}
    assert accepted(packed(click), "clickstream").items[0].price is None
    click["items"] = [{"item_id": "sku", "price": math.nan}]
    assert fault(packed(click), "clickstream") == ("out_of_range", "$.items[0].price")
    click["items"] = [{"item_id": "s\tk"}]
    assert fault(packed(click), "clickstream") == ("bad_id", "$.items[0].item_id")


def test_the_currencies_are_those_of_the_rate_table() -> None:
    value = packed(order(currency="XBT"))
    assert decode_batch("orders", [value], currencies=["XBT"]).events[0] is not None
    assert decode_batch("orders", [GOOD], currencies=["XBT"]).faults[0].reason is Reason.UNKNOWN_CURRENCY


def test_faults_stand_where_the_records_stood() -> None:
    names = list(BAD)
    values = [value for name in names for value in (GOOD, BAD[name][0])]
    decoded = decode_batch("orders", values)
    assert sorted(decoded.faults) == list(range(1, len(values), 2))
    assert [decoded.faults[2 * at + 1].reason.value for at in range(len(names))] == [BAD[name][1] for name in names]
    assert [event is None for event in decoded.events] == [at % 2 == 1 for at in range(len(values))]
    assert decoded.at_ms.tolist() == [AT_MS, 0] * len(names)


def test_an_empty_batch_decodes_to_nothing() -> None:
    decoded = decode_batch("orders", [])
    assert (decoded.events, decoded.faults, decoded.at_ms.tolist()) == ([], {}, [])


def depth_answers(frames: int, values: list[bytes]) -> list[tuple[str, str] | None]:
    """What decoding says with so many frames on the stack; a thread starts with an empty one."""

    def below(level: int) -> None:
        if level:
            below(level - 1)
        else:
            decoded = decode_batch("orders", values)
            answers.extend(
                (decoded.faults[at].reason.value, decoded.faults[at].detail) if at in decoded.faults else None
                for at in range(len(values))
            )

    answers: list[tuple[str, str] | None] = []
    thread = threading.Thread(target=below, args=(frames,))
    thread.start()
    thread.join()
    return answers


DEEP = {
    "arrays": [GOOD[:-1] + b',"x":' + b"[" * n + b"]" * n + b"}" for n in (MAX_DEPTH - 1, MAX_DEPTH)],
    "objects": [GOOD[:-1] + b',"x":' + b'{"":' * n + b"1" + b"}" * n + b"}" for n in (MAX_DEPTH - 1, MAX_DEPTH)],
}


@pytest.mark.parametrize("frames", [1, 200, 450])
@pytest.mark.parametrize("kind", DEEP)
def test_the_depth_that_is_refused_does_not_depend_on_the_stack_in_use(kind: str, frames: int) -> None:
    assert depth_answers(frames, DEEP[kind]) == [None, ("not_json", f"nested more than {MAX_DEPTH} deep")]


def test_what_exhausts_the_stack_is_refused_alike_at_any_stack() -> None:
    short = [b'{"type":"purchase","x":' + opening * n for n in range(100, 950, 50) for opening in (b"[", b'{"":')]
    assert depth_answers(1, short) == depth_answers(450, short)
    assert set(depth_answers(1, short)[-2:]) == {("not_json", f"nested more than {MAX_DEPTH} deep")}


def test_no_short_record_is_deep() -> None:
    deep = b'{"type":"purchase","x":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert len(deep) > PLAIN_BYTES


NUMBERS = st.one_of(st.floats(), st.integers(), st.just(1e9), st.just(100_000))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


@given(st.lists(st.binary(max_size=200), max_size=4), st.sampled_from(INPUTS))
def test_bytes_are_never_an_error_but_a_fault(values: list[bytes], topic: str) -> None:
    decoded = decode_batch(topic, values)
    assert len(decoded.events) == len(values)
    assert [event is None for event in decoded.events] == [at in decoded.faults for at in range(len(values))]


@given(st.dictionaries(st.sampled_from(sorted(ORDER)), JSON, max_size=3), st.sampled_from(INPUTS))
def test_any_value_in_any_field_is_an_event_or_a_fault(changes: dict[str, Any], topic: str) -> None:
    value = packed(order(**changes))
    read = decode_one(topic, value)
    if isinstance(read, Fault):
        assert read.reason in Reason
        assert read.path.startswith("$")
    else:
        assert all(not isinstance(number, float) or math.isfinite(number) for number in json.loads(value).values())


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=3), st.integers(0, 3))
def test_a_damaged_order_is_an_event_or_a_fault(at: int, patch: bytes, cut: int) -> None:
    decode_one("orders", GOOD[:at] + patch + GOOD[at + cut :])


SHORT_BAD = [value for value, *_ in BAD.values() if len(value or b"") < 5_000]


@given(st.lists(st.sampled_from([GOOD, *SHORT_BAD]), max_size=8))
@settings(max_examples=50)
def test_the_batch_does_not_matter(values: list[bytes | None]) -> None:
    together = decode_batch("orders", values)
    for at, value in enumerate(values):
        alone = decode_batch("orders", [value])
        assert together.events[at] == alone.events[0]
        assert together.faults.get(at) == alone.faults.get(0)
        assert np.array_equal(together.at_ms[at : at + 1], alone.at_ms)
