"""The AsyncAPI document: committed, current, valid by the specification's own schema, and of one mind with the code."""

from __future__ import annotations

import gzip
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped] # it has no types

from schemas.asyncapi import document
from schemas.cloudevents import headers_each, headers_of
from schemas.deadletters import headers_of as dead_headers
from schemas.decode import Fault, Reason
from schemas.jsonschema import written
from schemas.settings import Settings
from schemas.topics import TOPICS, WRITTEN_INPUTS
from tests.unit.schemas.builders import ORDER, minimal, without
from tests.unit.schemas.test_decode import TYPES

COMMITTED = Path(__file__).resolve().parents[3] / "schemas" / "asyncapi.json"
OFFICIAL = Path(__file__).with_name("asyncapi") / "3.0.0.json.gz"
DOCUMENT: Any = document(version("headrace"), Settings().partitions, Settings().replicas)


def pointed(ref: str) -> Any:
    """What a reference points to."""
    place = DOCUMENT
    for step in ref.removeprefix("#/").split("/"):
        place = place[step]
    return place


def refs(node: Any) -> list[str]:
    if isinstance(node, list):
        return [ref for inner in node for ref in refs(inner)]
    if not isinstance(node, dict):
        return []
    return [node["$ref"]] if "$ref" in node else [ref for inner in node.values() for ref in refs(inner)]


def validator(schema: Any) -> Any:
    return Draft7Validator({**schema, "components": DOCUMENT["components"]})


def headers_valid(message: str, headers: Any) -> bool:
    schema = DOCUMENT["components"]["messages"][message]["headers"]
    return bool(validator(schema).is_valid({name: value.decode() for name, value in headers}))


def test_the_committed_file_is_current() -> None:
    assert COMMITTED.read_text() == written(DOCUMENT), "run: headrace schemas export --asyncapi schemas/asyncapi.json"


def test_it_is_valid_by_the_schema_of_the_specification() -> None:
    official = Draft7Validator(json.loads(gzip.decompress(OFFICIAL.read_bytes())))
    assert [error.message for error in official.iter_errors(DOCUMENT)] == []
    broken = {**DOCUMENT, "operations": {"x": {"action": "publish", "channel": {"$ref": "#/channels/orders"}}}}
    assert not official.is_valid(broken)


def test_every_reference_points_to_something() -> None:
    assert all(pointed(ref) for ref in refs(DOCUMENT))


def test_every_topic_is_a_channel_with_its_kafka_settings() -> None:
    assert set(DOCUMENT["channels"]) == set(TOPICS)
    for name, channel in DOCUMENT["channels"].items():
        said = channel["bindings"]["kafka"]["topicConfiguration"]
        assert {key: str(value).strip("[]'") for key, value in said.items()} == TOPICS[name].config()


def test_a_shop_sends_what_it_writes_and_receives_the_rest() -> None:
    sent = {o["channel"]["$ref"].split("/")[-1] for o in DOCUMENT["operations"].values() if o["action"] == "send"}
    assert sent == {"orders", "clickstream", "cart", "labels"}
    assert not sent & set(WRITTEN_INPUTS)
    assert len(DOCUMENT["operations"]) == len(TOPICS)


@pytest.mark.parametrize(("topic", "kind"), TYPES)
def test_the_least_of_every_type_is_valid_by_its_message(topic: str, kind: str) -> None:
    assert kind in DOCUMENT["channels"][topic]["messages"]
    payload = validator(DOCUMENT["components"]["messages"][kind]["payload"])
    assert payload.is_valid(minimal(topic, kind))
    assert not payload.is_valid({**minimal(topic, kind), "event_id": ""})


def test_an_order_is_valid_and_one_without_a_key_is_not() -> None:
    payload = validator(DOCUMENT["components"]["messages"]["purchase"]["payload"])
    assert payload.is_valid(ORDER)
    assert not payload.is_valid(without("user_id"))


def test_the_headers_are_those_that_are_written() -> None:
    (decision,) = headers_each("fraud", ["d1"], [ORDER["event_time"]])
    assert headers_valid("fraud", decision)
    assert not headers_valid("anomalies", decision)
    assert headers_valid("purchase", headers_of(ORDER, "/shop"))
    assert headers_valid("fraud", (*decision, ("traceparent", b"00-" + b"0" * 52)))
    assert not headers_valid("fraud", (*decision, ("traceparent", b"0" * 300)))
    letter = dead_headers(Fault(Reason.BAD_ID, "$.event_id", "empty"), "orders", 0, 7, 1)
    assert headers_valid("orders.dlq", letter)
    assert not headers_valid("orders.dlq", letter[1:])
