"""CloudEvents as others write and read them: their own Python package is the judge."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from schemas.cloudevents import SOURCE, TYPES, data_of, headers_each, headers_of
from schemas.decode import MAX_DEPTH, Fault, decode_one
from schemas.topics import TOPICS
from tests.unit.schemas.builders import ORDER, order, packed, without

AT = datetime(2026, 1, 15, 12, 34, 56, 789_000, UTC)


def enveloped(data: Any, **attributes: Any) -> bytes:
    """An event in structured mode, as the package writes it."""
    event = CloudEvent({"id": "ce-1", "source": "/shop", "type": "com.shop.order", **attributes}, data)
    return to_structured(event, JSONFormat()).value


def test_what_we_publish_is_an_event_to_a_reader_who_knows_cloudevents_alone() -> None:
    (headers,) = headers_each("fraud", ["d1"], ["2026-01-15T12:34:56.789Z"])
    event = from_binary(KafkaMessage(dict(headers), b"u1", b'{"action":"allow"}'), JSONFormat())
    assert (event.get_id(), event.get_source(), event.get_type()) == ("d1", SOURCE, "headrace.decision")
    assert (event.get_time(), event.get_datacontenttype()) == (AT, "application/json")
    assert event.get_data() == {"action": "allow"}
    assert event.get_extension("partitionkey") == "u1"


def test_each_topic_that_the_shop_reads_has_a_type() -> None:
    assert set(TYPES) == {name for name, topic in TOPICS.items() if "the shop" in topic.readers}


def test_an_event_of_the_shop_has_the_headers_that_the_package_would_write() -> None:
    attributes = {"id": ORDER["event_id"], "source": "/shop", "type": "purchase", "time": AT}
    theirs = to_binary(CloudEvent({**attributes, "datacontenttype": "application/json"}, ORDER), JSONFormat())
    ours = dict(headers_of(ORDER, "/shop"))
    assert ours.pop("ce_time") == ORDER["event_time"].encode()
    assert datetime.fromisoformat(theirs.headers.pop("ce_time").decode()) == AT
    assert ours == theirs.headers


@pytest.mark.parametrize("event", [without("event_id"), without("type"), order(event_id=7), order(type="")])
def test_what_has_no_id_or_no_type_is_no_cloudevent(event: dict[str, Any]) -> None:
    assert headers_of(event, "/shop") == ()


def test_an_envelope_holds_the_same_event() -> None:
    assert decode_one("orders", enveloped(ORDER)) == decode_one("orders", packed(ORDER))
    assert decode_one("orders", enveloped(ORDER, id="another", type="purchase")) == decode_one("orders", packed(ORDER))


@pytest.mark.parametrize(
    ("value", "reason", "path"),
    [
        (enveloped(order(value=-1)), "out_of_range", "$.data.value"),
        (enveloped(without("order_id")), "missing_field", "$.data.order_id"),
        (enveloped(order(currency="XXX")), "unknown_currency", "$.currency"),
        (enveloped(order(user_id="a\x00")), "bad_id", "$.data.user_id"),
        (enveloped("purchase"), "wrong_type", "$.data"),
        (enveloped(None), "missing_field", "$.data"),
        (enveloped(b"\x00\x01", datacontenttype="application/octet-stream"), "missing_field", "$.data"),
        (enveloped(json.loads(enveloped(ORDER))), "unknown_type", "$.data.type"),
        (packed({"specversion": "1.0", "type": "purchase"}), "missing_field", "$.event_id"),
    ],
    ids=lambda one: "envelope" if isinstance(one, bytes) else None,  # which says when it was made
)
def test_what_an_envelope_holds_is_refused_for_its_own_faults(value: bytes, reason: str, path: str) -> None:
    fault = decode_one("orders", value)
    assert isinstance(fault, Fault)
    assert (fault.reason.value, fault.path) == (reason, path)


def test_an_event_that_has_an_envelopes_fields_besides_is_read_as_it_stands() -> None:
    both = order(specversion="1.0", id="1", source="/s", data=order(event_id="another"))
    assert decode_one("orders", packed(both)) == decode_one("orders", packed(ORDER))


def test_a_deep_envelope_raises_nothing() -> None:
    deep = packed({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"})[:-1] + b',"data":'
    for depth in (MAX_DEPTH - 10, MAX_DEPTH + 10):
        assert isinstance(decode_one("orders", deep + b"[" * depth + b"]" * depth + b"}"), Fault)


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"\xff", b'{"data":{}}', b"null"])
def test_what_is_no_envelope_is_none(value: bytes) -> None:
    assert data_of(value) is None
