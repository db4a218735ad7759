"""Values of a schema registry: read by their schema, or a dead letter that says why; an outage is never one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.shop import shop_definitions
from schemas.avro import schemas
from schemas.decode import Fault, decode_batch, decode_one
from schemas.settings import load
from schemas.topics import MAX_RECORD_BYTES
from streams.formats.plain import AGAIN_S, Plain, understood
from streams.formats.schema import Schema, SchemasDown
from streams.protocol.ports import Stop
from streams.space import definitions_of, plain_of
from tests.support.schemas import Kept, as_written, avro, framed
from tests.unit.schemas.builders import ORDER, order, packed, without

ORDERS = schemas()["orders"]


def an_order(kept: Kept, **changes: Any) -> bytes:
    return avro(kept.keep(ORDERS), ORDERS, as_written("orders", order(**changes)))


def refused(kept: Kept, value: bytes) -> tuple[str, str, str]:
    """Reason, path and detail of a record that must be a dead letter."""
    decoded = Plain(kept).decode_topic("orders", [packed(ORDER), value, packed(ORDER)])
    assert list(decoded.faults) == [1]
    assert [event is None for event in decoded.events] == [False, True, False]
    fault = decoded.faults[1]
    return fault.reason.value, fault.path, fault.detail


def record(*fields: Any, name: str = "R") -> dict[str, Any]:
    made = [{"name": f"f{n}", "type": kind} for n, kind in enumerate(fields)]
    return {"type": "record", "name": name, "fields": made}


def test_plain_json_asks_nobody() -> None:
    kept = Kept(away=True)
    values = [packed(ORDER), b"{", None, b""]
    assert Plain(kept).decode_topic("orders", values).faults == decode_batch("orders", values).faults
    assert kept.asked == []


def test_avro_and_json_behind_a_frame_stand_among_plain_ones() -> None:
    kept = Kept()
    values = [packed(ORDER), an_order(kept), framed(kept.keep({}, "JSON"), packed(ORDER))]
    decoded = Plain(kept).decode_topic("orders", values)
    assert decoded.faults == {}
    assert decoded.events[0] == decoded.events[1] == decoded.events[2]


def test_a_schema_is_asked_for_once() -> None:
    kept = Kept()
    plain, value = Plain(kept), an_order(kept)
    for _ in range(3):
        assert plain.decode_topic("orders", [value, value]).faults == {}
    assert kept.asked == [1]
    assert plain.wanted([value]) == []


def test_a_schema_that_nobody_knows_is_a_dead_letter_and_is_asked_for_again_later() -> None:
    kept, now = Kept(), [0.0]
    plain = Plain(kept, lambda: now[0])
    value = framed(7, b"\x00")
    fault = plain.decode_topic("orders", [value]).faults[0]
    assert (fault.reason.value, fault.detail) == ("unknown_schema", "the registry has no schema 7")
    plain.decode_topic("orders", [value])
    assert kept.asked == [7]
    now[0] = AGAIN_S
    plain.decode_topic("orders", [value])
    assert kept.asked == [7, 7]


def test_a_registry_that_is_away_makes_no_dead_letters() -> None:
    kept = Kept(away=True)
    with pytest.raises(SchemasDown):
        Plain(kept).decode_topic("orders", [packed(ORDER), framed(1, b"")])


def test_what_the_decoder_finds_is_told_as_of_json() -> None:
    kept = Kept()
    assert refused(kept, an_order(kept, value=-1.0))[:2] == ("out_of_range", "$.value")
    assert refused(kept, an_order(kept, event_id=""))[:2] == ("bad_id", "$.event_id")
    json = framed(kept.keep({}, "JSON"), packed(without("order_id")))
    assert refused(kept, json)[:2] == ("missing_field", "$.order_id")


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (lambda value: value[:-1], ""),
        (lambda value: value[:5], ""),
        (lambda value: value + b"\x00", "1 bytes are left behind it"),
        (lambda value: value[:5] + b"\xff" * 40, ""),
    ],
)
def test_bytes_that_are_not_what_the_schema_says_are_a_dead_letter(spoilt: Callable[[bytes], bytes], said: str) -> None:
    kept = Kept()
    reason, path, detail = refused(kept, spoilt(an_order(kept)))
    assert (reason, path) == ("not_avro", "$")
    assert said in detail


@given(st.binary(max_size=200))
def test_no_bytes_raise(payload: bytes) -> None:
    kept = Kept()
    kept.keep(ORDERS)
    decoded = Plain(kept).decode_topic("orders", [framed(1, payload)])
    assert (decoded.events[0] is None) == (0 in decoded.faults)


def test_a_value_that_is_too_large_is_not_read() -> None:
    kept = Kept()
    assert refused(kept, an_order(kept) + b"\x00" * MAX_RECORD_BYTES)[0] == "too_large"


@pytest.mark.parametrize(
    ("kind", "schema", "why"),
    [
        ("PROTOBUF", {}, "of kind PROTOBUF"),
        ("AVRO", {"type": "record"}, "cannot be used"),
        ("AVRO", "nothing.known", "cannot be used"),
        ("AVRO", record("long", ["null", "R"]), "refers to itself: R"),
        ("AVRO", record({"type": "array", "items": "R"}), "refers to itself: R"),
        ("AVRO", record({"type": "array", "items": "null"}), "lists of what takes no bytes"),
        ("AVRO", record({"type": "array", "items": record(name="E")}), "lists of what takes no bytes"),
        ("AVRO", record("long", record("null", name="N")), "a record that takes no bytes: N"),
        ("AVRO", record({"type": "map", "values": {"type": "array", "items": "null"}}), "lists of what"),
        ("AVRO", record(["null", {"type": "array", "items": "null"}]), "lists of what"),
    ],
)
def test_a_schema_that_is_of_no_use_or_could_do_harm_makes_dead_letters(kind: str, schema: Any, why: str) -> None:
    kept = Kept()
    reason, _, detail = refused(kept, framed(kept.keep(schema, kind), b"\x00" * 9))
    assert (reason, why in detail) == ("unknown_schema", True), detail


def test_a_schema_may_refer_to_others() -> None:
    kept = Kept()
    item = next(field["type"]["items"] for field in ORDERS["fields"] if field["name"] == "items")
    fields = [{**f, "type": {"type": "array", "items": "headrace.events.Item"}} if f["name"] == "items" else f
              for f in ORDERS["fields"]]  # fmt: skip
    number = kept.keep({**ORDERS, "fields": fields}, "AVRO", Schema("AVRO", packed(item).decode()))
    value = framed(number, an_order(kept)[5:])
    assert Plain(kept).decode_topic("orders", [value]).events == [decode_one("orders", packed(ORDER))]


AT = datetime(2026, 1, 15, 12, 34, 56, 789_000, UTC)


@pytest.mark.parametrize(
    ("event_time", "at", "text"),
    [
        ("string", "2026-01-15T13:34:56+01:00", "2026-01-15T13:34:56+01:00"),
        ({"type": "long", "logicalType": "timestamp-millis"}, AT, "2026-01-15T12:34:56.789Z"),
        ({"type": "long", "logicalType": "timestamp-micros"}, AT, "2026-01-15T12:34:56.789Z"),
        (
            {"type": "long", "logicalType": "timestamp-micros"},
            AT + timedelta(microseconds=5),
            "2026-01-15T12:34:56.789005Z",
        ),
    ],
)
def test_a_schema_of_ones_own_may_have_other_logical_types(event_time: Any, at: Any, text: str) -> None:
    kept = Kept()
    amount = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}
    other = {"event_time": event_time, "value": amount}
    own = {**ORDERS, "fields": [{**f, "type": other.get(f["name"], f["type"])} for f in ORDERS["fields"]]}
    written = {**ORDER, "event_time": at, "value": Decimal("129.97")}
    decoded = Plain(kept).decode_topic("orders", [avro(kept.keep(own), own, written)])
    assert decoded.faults == {}
    assert (decoded.events[0].event_time, decoded.events[0].value) == (text, 129.97)


def test_without_a_registry_it_is_a_dead_letter_that_names_the_setting() -> None:
    fault = decode_one("orders", framed(7, b"\x00"))
    assert isinstance(fault, Fault)
    assert fault.reason.value == "unknown_schema"
    assert "schema 7" in fault.detail
    assert "HEADRACE_SCHEMA_REGISTRY__URL" in fault.detail


def test_every_flow_reads_them_but_what_workers_write_themselves() -> None:
    kept = Kept()
    own = shop_definitions()
    flows = {flow.topic: flow for flow in understood(own, Plain(kept)).flows}
    assert flows["orders"].decode([an_order(kept)]).faults == {}
    assert [topic for topic, flow in flows.items() if flow in own.flows] == ["outcomes"]
    assert understood(own, Plain(kept)).layout == own.layout


def test_without_the_extra_a_registry_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_SCHEMA_REGISTRY__URL", "http://registry:8081")
    assert plain_of(load()) is not None
    monkeypatch.setattr("streams.space.find_spec", lambda _: None)
    with pytest.raises(Stop, match=r"pip install 'headrace\[avro\]'"):
        definitions_of(load())
