"""What leaves: canonical bytes, and a version that is looked at."""

from __future__ import annotations

import json

import msgspec
import pytest

from schemas.decisions import (
    APPLIED_VERSION,
    Anomaly,
    AppliedRow,
    Decision,
    DecisionLog,
    Model,
    NewerVersionError,
    ReasonCode,
    Thresholds,
    anomaly_id,
    decode_applied,
    encode,
    encode_each,
)
from schemas.ids import decision_id

DECISION = Decision(
    decision_id=decision_id("e1"),
    order_id="o1",
    event_id="e1",
    user_id="u1",
    event_time="2026-01-15T12:34:56.789Z",
    score=0.250001,
    action="review",
    reasons=(ReasonCode("VELOCITY", "8 orders in an hour", 8.0),),
    rules=("velocity",),
    model=Model("logistic", "3"),
    config="c1",
    feature_hash="00ff00ff00ff00ff",
    recovered=False,
)
LOG = DecisionLog(
    decision_id=decision_id("e1"),
    order_id="o1",
    event_id="e1",
    topic="orders",
    partition=3,
    offset=17,
    at_ms=1_768_480_496_789,
    amount_minor=12_997,
    vector=(1.0, -1.0, 129.97),
    members={"logistic": 0.250001},
    score=0.250001,
    action="review",
    rules=("velocity",),
    thresholds=Thresholds(0.2, None),
    model=Model("logistic", "3"),
    config="c1",
    feature_hash="00ff00ff00ff00ff",
    recovered=False,
)
ANOMALY = Anomaly(
    anomaly_id=anomaly_id("s1", "bot"),
    kind="bot",
    event_id="e1",
    event_type="page_view",
    event_time="2026-01-15T12:34:56.789Z",
    user_id=None,
    visitor_id="v1",
    session_id="s1",
    reasons=(ReasonCode("BOT", "300 events a minute", 300.0),),
    config="c1",
    recovered=False,
)
ROW = AppliedRow(
    version=APPLIED_VERSION,
    topic="orders",
    partition=3,
    topic_id="t1",
    first=10,
    last=20,
    config="c1",
    exceptions={"duplicate": [12, 13], "dead": [17]},
    numbers=(1_768_480_496_789_000, 1_768_480_496_789_001),
    recovered=False,
    horizon=20,
)


def test_the_bytes_of_a_decision_never_change() -> None:
    assert encode(DECISION) == (
        b'{"decision_id":"43fd7f3b4fd1f4fdc7f57f1d7f1b0b8f","order_id":"o1","event_id":"e1","user_id":"u1",'
        b'"event_time":"2026-01-15T12:34:56.789Z","score":0.250001,"action":"review",'
        b'"reasons":[{"code":"VELOCITY","text":"8 orders in an hour","value":8.0}],"rules":["velocity"],'
        b'"model":{"name":"logistic","version":"3"},"config":"c1","feature_hash":"00ff00ff00ff00ff",'
        b'"recovered":false,"visitor_id":null,"rules_version":null}'
    ).replace(b"43fd7f3b4fd1f4fdc7f57f1d7f1b0b8f", decision_id("e1").encode())


def test_a_decision_without_a_model_says_null() -> None:
    alone = msgspec.structs.replace(DECISION, model=Model(None, None))
    assert json.loads(encode(alone))["model"] == {"name": None, "version": None}


def test_each_of_many_is_as_it_is_alone() -> None:
    odd = msgspec.structs.replace(DECISION, order_id="line\nend")
    records = [DECISION, odd, DECISION]
    assert encode_each(records) == [encode(record) for record in records]
    assert encode_each([]) == []


@pytest.mark.parametrize("record", [DECISION, LOG, ANOMALY, ROW])
def test_what_is_written_is_what_is_read(record: msgspec.Struct) -> None:
    again = msgspec.json.decode(encode(record), type=type(record))
    assert encode(again) == encode(record)


def test_a_row_of_applied_comes_back() -> None:
    assert encode(decode_applied(encode(ROW))) == encode(ROW)


def test_a_row_of_a_newer_headrace_is_refused() -> None:
    newer = json.dumps({"version": APPLIED_VERSION + 1, "topic": ["another", "shape"]}).encode()
    with pytest.raises(NewerVersionError, match=r"has version 2, this Headrace reads up to 1"):
        decode_applied(newer)


def test_nonsense_is_no_row() -> None:
    for value in (b"", b"{}", b"[]", b"\xff", b'{"version":1}'):
        with pytest.raises(msgspec.DecodeError):
            decode_applied(value)


def test_an_event_may_break_two_rules() -> None:
    assert anomaly_id("s1", "bot") != anomaly_id("s1", "cart_stuffing") != anomaly_id("s2", "cart_stuffing")
    assert len(anomaly_id("s1", "bot")) == 32
