"""Records of `matured`: canonical bytes, and a key to drop repeats by."""

from __future__ import annotations

import json

import msgspec

from schemas.decisions import encode
from schemas.ids import decision_id
from schemas.matured import Key, Matured, decode_matured, decode_told, key_of

MATURED = Matured(
    event_id="e1",
    decision_id=decision_id("e1"),
    order_id="o1",
    at_ms=1_768_480_496_789,
    due_ms=1_768_999_999_000,
    label=1,
    label_type="chargeback",
    was=None,
    turn=1,
    vector=(1.0, 0.25),
    feature_hash="00ff00ff00ff00ff",
    partition=2,
    offset=17,
    score=0.250001,
    members={"logistic": 0.250001},
)


def test_the_bytes_are_in_the_order_of_the_fields_and_come_back() -> None:
    assert list(json.loads(encode(MATURED))) == [field.name for field in msgspec.structs.fields(Matured)]
    assert encode(decode_matured(encode(MATURED))) == encode(MATURED)


def test_a_vector_that_is_copied_byte_for_byte_gives_the_same_record() -> None:
    raw = msgspec.structs.replace(MATURED, vector=msgspec.Raw(b"[1.0,0.25]"))
    assert encode(raw) == encode(MATURED)


def test_what_was_said_can_be_read_without_the_vector() -> None:
    told = decode_told(encode(MATURED))
    assert (told.decision_id, told.label, told.turn) == (MATURED.decision_id, 1, 1)
    assert told.key == key_of(MATURED) == Key(1_768_999_999_000, "e1")


def test_keys_go_by_time_then_by_event() -> None:
    assert Key(1, "b") < Key(2, "a") < Key(2, "b")
