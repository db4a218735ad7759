"""docs/events.md: every example is taken as it stands, and every reason of a dead letter is told."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from schemas.decisions import Anomaly, AppliedRow, Decision, encode
from schemas.decode import Reason, decode_batch
from schemas.ids import decision_id
from schemas.matured import Matured
from schemas.sessions import SessionVector
from schemas.topics import INPUTS
from tests.docs.tables import DOCS

PAGE = (DOCS / "events.md").read_text()
OURS = {"fraud": Decision, "anomalies": Anomaly, "applied": AppliedRow, "matured": Matured, "sessions": SessionVector}
REASONS = "|".join(Reason)


def documents(text: str) -> list[Any]:
    """The JSON documents of a block, one behind the other."""
    found, place, decoder = [], 0, json.JSONDecoder()
    while place < len(text):
        value, place = decoder.raw_decode(text, place)
        place = len(text) - len(text[place:].lstrip())
        found.append(value)
    return found


EXAMPLES = [
    (topic, document)
    for topic, block in re.findall(r'^```json title="(\w+)"\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL)
    for document in documents(block)
]


@pytest.mark.parametrize(("topic", "document"), EXAMPLES)
def test_an_example_is_what_the_code_takes(topic: str, document: Any) -> None:
    value = json.dumps(document).encode()
    if topic in INPUTS:
        assert decode_batch(topic, [value]).faults == {}
    else:
        record = msgspec.json.decode(value, type=OURS[topic])
        assert list(json.loads(encode(record))) == list(document)


def test_every_input_and_what_users_read_has_an_example() -> None:
    assert {topic for topic, _ in EXAMPLES} >= {*INPUTS, *OURS}


def test_the_decision_of_the_example_has_the_id_that_its_reader_would_compute() -> None:
    decision = next(document for topic, document in EXAMPLES if topic == "fraud")
    assert decision["decision_id"] == decision_id(decision["event_id"])


def test_the_anomaly_of_the_example_has_the_id_that_its_reader_would_compute() -> None:
    anomaly = next(document for topic, document in EXAMPLES if topic == "anomalies")
    assert anomaly["anomaly_id"] == sha256(f"{anomaly['kind']}\n{anomaly['session_id']}".encode()).hexdigest()[:32]


def test_every_reason_of_a_dead_letter_is_told() -> None:
    assert set(re.findall(rf"^\| `({REASONS})` \|", PAGE, re.MULTILINE)) == set(Reason)


@pytest.mark.parametrize(("reason", "value"), re.findall(rf"^({REASONS}) +(\S.*)$", PAGE, re.MULTILINE))
def test_a_bad_example_is_refused_for_the_reason_given(reason: str, value: str) -> None:
    (fault,) = decode_batch("orders", [value.encode()]).faults.values()
    assert fault.reason == reason
