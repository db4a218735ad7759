"""Records of `sessions`: canonical bytes, and where their events came from."""

from __future__ import annotations

import json

import msgspec

from schemas.decisions import encode
from schemas.sessions import SessionVector, decode_session

VISITED = SessionVector(
    session_id="s1",
    event_id="k41",
    events=8,
    at_ms=1_769_000_000_000,
    topic="clickstream",
    partition=2,
    offset=41,
    vector=[8.0, 0.25],
    feature_hash="0123456789abcdef",
    score=0.9995,
    config="fedcba9876543210",
    recovered=False,
)


def test_a_record_has_its_fields_in_order_and_comes_back_as_it_was() -> None:
    assert list(json.loads(encode(VISITED))) == [field.name for field in msgspec.structs.fields(SessionVector)]
    assert encode(decode_session(encode(VISITED))) == encode(VISITED)


def test_where_the_event_lies_is_one_name_for_each_partition() -> None:
    assert VISITED.source == "clickstream/2"
