"""What a file holds: the record as it came, and what its value says, as far as it says it."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.columns import TYPED, Row, records_of, schema_of, table_of
from schemas.decisions import AppliedRow, DecisionLog, Model, Thresholds, encode
from schemas.outcomes import LabelNamed, Outcome
from schemas.topics import TOPICS
from tests.unit.archive.build import START_MS, row
from tests.unit.schemas.test_matured import MATURED
from tests.unit.schemas.test_sessions import VISITED

DECIDED = DecisionLog(
    "d1", "o1", "e1", "orders", 2, 7, START_MS, 3050, [1.5, -0.0, 1e-300], {"logistic": 0.25}, 0.25, "review",
    ["many"], Thresholds(0.2, None), Model("shop-logistic", "1"), "c1", "f1", False,
)  # fmt: skip
TOOK = AppliedRow(1, "orders", 2, "t1", 0, 9, "c1", {"duplicate": [3]}, [4, 2**60], False, 9)
BYTES = st.none() | st.binary(max_size=30)
ODD = [b"{}", b"[]", b'{"user_id": 5}', b'{"value": 1e999}', b"[" * 5000, encode(DECIDED)]
ROWS = st.lists(
    st.builds(
        Row,
        offset=st.just(0),
        timestamp=st.integers(-(2**40), 2**45),
        key=BYTES,
        value=BYTES
        | st.sampled_from([b"{}", b"[]", b'{"user_id": 5}', b'{"value": 1e999}', b"[" * 5000, encode(DECIDED)]),
        headers=st.lists(st.tuples(st.text(max_size=5), BYTES), max_size=3).map(tuple),
    ),
    max_size=6,
).map(lambda rows: [one._replace(offset=n) for n, one in enumerate(rows)])


@given(ROWS, st.sampled_from([*TYPED, "somebody's own"]))
def test_a_record_comes_out_byte_for_byte_and_no_value_makes_it_fail(rows: list[Row], topic: str) -> None:
    table = table_of(topic, 3, rows)
    assert table.schema == schema_of(topic)
    assert records_of(table) == rows


def test_of_a_decision_every_number_of_the_vector_is_exact() -> None:
    (said,) = table_of("decisions", 0, [row(0, value=encode(DECIDED))]).to_pylist()
    assert [float.hex(one) for one in said["vector"]] == [float.hex(one) for one in DECIDED.vector]
    assert said["members"] == [("logistic", 0.25)]
    assert (said["review_at"], said["block_at"], said["model"], said["offset"]) == (0.2, None, "shop-logistic", 7)
    assert said["at"].timestamp() * 1000 == START_MS


def test_of_a_range_bounds_verdicts_and_numbers_are_told() -> None:
    (said,) = table_of("applied", 0, [row(0, value=encode(TOOK))]).to_pylist()
    assert (said["first"], said["last"], said["exceptions"]) == (0, 9, [("duplicate", [3])])
    assert said["numbers"] == [4, 2**60]


def test_a_number_that_no_column_holds_is_null_and_its_neighbours_are_not() -> None:
    huge = encode(TOOK).replace(b'"last":9', b'"last":99999999999999999999')
    said = table_of("applied", 0, [row(0, value=encode(TOOK)), row(1, value=huge)]).to_pylist()
    assert said[0]["last"] == 9
    assert said[1]["last"] is None
    assert said[1]["kafka_value"] == huge


@pytest.mark.parametrize("text", ["2026-01-15T12:00:00Z", "2026-01-15T14:00:00.000+02:00"])
def test_a_time_of_any_zone_is_one_moment(text: str) -> None:
    (said,) = table_of("orders", 0, [row(0, value=orjson.dumps({"event_time": text}))]).to_pylist()
    assert said["event_time"].isoformat() == "2026-01-15T12:00:00+00:00"


def test_of_an_outcome_it_is_told_which_label_said_so() -> None:
    known = Outcome(
        event_id="d-1", event_time="2026-01-15T12:00:00Z", order_id="o1", decision_id="0" * 32, turn=1, fraud=True,
        delta=1, label=LabelNamed("l1", "chargeback", "2026-02-15T12:00:00Z"), products=["p1", "p2"],
    )  # fmt: skip
    alone = encode(known).replace(b'"l1"', b"5")
    said = table_of("outcomes", 0, [row(0, value=encode(known)), row(1, value=alone)]).to_pylist()
    assert (said[0]["label_id"], said[0]["label_type"], said[0]["products"]) == ("l1", "chargeback", ["p1", "p2"])
    assert (said[0]["turn"], said[0]["fraud"], said[0]["delta"]) == (1, True, 1)
    assert said[1]["order_id"] is None


def test_of_what_matured_label_and_vector_are_told() -> None:
    (said,) = table_of("matured", 0, [row(0, value=encode(MATURED))]).to_pylist()
    assert (said["label"], said["label_type"], said["was"], said["turn"]) == (1, "chargeback", None, 1)
    assert (said["vector"], said["members"]) == ([1.0, 0.25], [("logistic", 0.250001)])
    assert said["due"].timestamp() * 1000 == MATURED.due_ms


def test_of_a_session_its_vector_and_its_score_are_told() -> None:
    (said,) = table_of("sessions", 0, [row(0, value=encode(VISITED))]).to_pylist()
    assert (said["session_id"], said["events"], said["topic"], said["offset"]) == ("s1", 8, "clickstream", 41)
    assert (said["vector"], said["score"], said["config"]) == ([8.0, 0.25], 0.9995, VISITED.config)
    assert said["at"].timestamp() * 1000 == VISITED.at_ms


def test_every_topic_that_is_archived_has_columns_of_its_own() -> None:
    assert {name for name, topic in TOPICS.items() if topic.archived} == TYPED.keys()
