"""JSON Schema: committed, current, and of one mind with the decoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it has no types

from schemas import decisions
from schemas.decode import Fault, decode_one
from schemas.jsonschema import export, schemas
from schemas.topics import TOPICS
from tests.unit.schemas.builders import ORDER, line, minimal, order, packed, without
from tests.unit.schemas.test_decisions import ANOMALY, DECISION, LOG, ROW
from tests.unit.schemas.test_decode import BAD, GOODS, TYPES
from tests.unit.schemas.test_deployments import CONFIGURED, DEPLOYED
from tests.unit.schemas.test_matured import MATURED
from tests.unit.schemas.test_sessions import VISITED

COMMITTED = Path(__file__).resolve().parents[3] / "schemas" / "json"
VALIDATORS = {topic: Draft202012Validator(schema) for topic, schema in schemas().items()}
BEYOND_SCHEMA = {  # what JSON Schema cannot say or cannot be asked, because it is no JSON
    *("too_large", "not_utf8", "not_json", "empty", "unknown_currency"),
}


def sayable(name: str, value: bytes) -> bool:
    """Whether a bad record is JSON at all, and bad in a way that JSON Schema has words for."""
    no_number = b"NaN" in value or b"nan" in value or b"inf" in value.lower()
    return BAD[name][1] not in BEYOND_SCHEMA and not no_number and name != "30 February"


def test_the_committed_files_are_current(tmp_path: Path) -> None:
    fresh = {path.name: path.read_text() for path in export(tmp_path)}
    committed = {path.name: path.read_text() for path in COMMITTED.iterdir()}
    assert committed == fresh, "run: headrace schemas export schemas/json"


def test_every_topic_with_values_of_ours_has_a_schema() -> None:
    assert set(schemas()) == {name for name in TOPICS if not name.endswith(".dlq")}


@pytest.mark.parametrize("topic", VALIDATORS)
def test_each_is_a_json_schema(topic: str) -> None:
    Draft202012Validator.check_schema(schemas()[topic])


@pytest.mark.parametrize(("topic", "kind"), TYPES)
def test_the_least_of_every_type_is_valid(topic: str, kind: str) -> None:
    assert VALIDATORS[topic].is_valid(minimal(topic, kind))


@pytest.mark.parametrize("name", GOODS)
def test_what_is_accepted_is_valid(name: str) -> None:
    assert VALIDATORS["orders"].is_valid(json.loads(GOODS[name]))


@pytest.mark.parametrize("name", [name for name, (value, *_) in BAD.items() if sayable(name, value or b"")])
def test_what_is_refused_is_invalid_where_schema_can_say_so(name: str) -> None:
    assert not VALIDATORS["orders"].is_valid(json.loads(BAD[name][0] or b""))


FIELD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 200_000),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer()),
    st.text(max_size=3).filter(lambda text: not text.endswith("\n")),  # Python's $ looks past a newline, others do not
    st.sampled_from(["x" * 256, "x" * 257, "EUR", "2026-01-15T12:34:56.789Z", "2026-01-15t12:34:56+01:00"]),
    st.just([]),
    st.just({}),
)
CHANGED = st.one_of(
    st.dictionaries(st.sampled_from(sorted(ORDER.keys() - {"type"})), FIELD, max_size=2).map(lambda new: order(**new)),
    st.dictionaries(st.sampled_from(sorted(ORDER["items"][0])), FIELD, max_size=2).map(lambda new: line(**new)),
    st.lists(st.sampled_from(sorted(ORDER)), max_size=2).map(lambda names: without(*names)),
)


@given(CHANGED)
@settings(max_examples=200)
def test_decoder_and_schema_agree(record: dict[str, Any]) -> None:
    read = decode_one("orders", packed(record, ascii_only=False))
    if isinstance(read, Fault) and read.reason in BEYOND_SCHEMA:
        return
    assert isinstance(read, Fault) != VALIDATORS["orders"].is_valid(record)


@pytest.mark.parametrize(
    ("topic", "record"),
    [
        ("fraud", DECISION),
        ("decisions", LOG),
        ("anomalies", ANOMALY),
        ("applied", ROW),
        ("models", DEPLOYED),
        ("models", CONFIGURED),
        ("matured", MATURED),
        ("sessions", VISITED),
    ],
)
def test_what_we_write_is_valid(topic: str, record: Any) -> None:
    assert VALIDATORS[topic].is_valid(json.loads(decisions.encode(record)))


def test_a_schema_says_that_an_event_needs_a_key() -> None:
    click = minimal("clickstream", "page_view")
    for topic, record in (("orders", order()), ("clickstream", click), ("cart", {**click, "type": "view_cart"})):
        assert VALIDATORS[topic].is_valid(record)
        del record["user_id"]
        assert not VALIDATORS[topic].is_valid(record)
        assert VALIDATORS[topic].is_valid({**record, "visitor_id": "v"})
