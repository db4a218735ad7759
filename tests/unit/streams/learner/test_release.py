"""What is written to `matured`: rows by their keys, those of one time together, vectors byte for byte."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from archive.columns import Row
from schemas.decisions import DecisionLog, Model, Thresholds, encode
from schemas.ids import decision_id
from schemas.matured import Key, decode_matured, key_of
from streams.learner.queue import Due
from streams.learner.release import AT_ONCE, keyed, matured, slices
from tests.unit.streams.learner.rows import record

LOG = DecisionLog(
    decision_id=decision_id("e1"),
    order_id="o1",
    event_id="e1",
    topic="orders",
    partition=1,
    offset=9,
    at_ms=1_000,
    amount_minor=3_050,
    vector=(1.0, 0.1, 1e22),
    members={"logistic": 0.25},
    score=0.25,
    action="allow",
    rules=(),
    thresholds=Thresholds(0.5, 0.9),
    model=Model("logistic", "3"),
    config="c1",
    feature_hash="00ff00ff00ff00ff",
    recovered=False,
)


def test_a_record_repeats_the_decision_and_adds_the_label() -> None:
    value = encode(LOG).replace(b"[1.0,0.1,1e22]", b"[1,0.1,1e22]")  # as `decisions` writes whole numbers
    row = matured(Due(7_000, 2, 17, 1, "chargeback", 0, 2), Row(17, 0, b"k", value, ()))
    assert b'"vector":[1,0.1,1e22]' in encode(row)
    back = decode_matured(encode(row))
    assert (back.event_id, back.at_ms, back.due_ms, back.vector) == ("e1", 1_000, 7_000, [1.0, 0.1, 1e22])
    assert (back.label, back.label_type, back.was, back.turn) == (1, "chargeback", 0, 2)
    assert (back.partition, back.offset, back.score, back.members) == (2, 17, 0.25, {"logistic": 0.25})


ROWS = st.lists(st.tuples(st.integers(0, 6), st.sampled_from("abc")), max_size=8, unique=True)


@given(ROWS, st.none() | st.builds(Key, st.integers(0, 6), st.sampled_from("abc")))
def test_keys_rise_and_are_above_the_last_and_what_is_in_time_keeps_its_own(
    some: list[tuple[int, str]], last: Key | None
) -> None:
    found = keyed([replace(record(name, due_ms), at_ms=due_ms) for due_ms, name in some], last)
    keys = [key_of(row) for row in found]
    assert keys == sorted(set(keys))
    assert len(found) == len(some)
    assert last is None or all(key > last for key in keys)
    assert all(row.at_ms <= row.due_ms for row in found), "none is due earlier than it was"
    if last is None or all(one > last for one in some):
        assert keys == sorted(some)


@given(st.lists(st.integers(0, 40), max_size=60).map(sorted), st.integers(1, 900))
def test_rows_of_one_time_are_never_parted(times: list[int], each: int) -> None:
    due = [Due(time, 0, n, 0, None, None, 1) for time in times for n in range(each)]
    parts = list(slices(due))
    assert [one for part in parts for one in part] == due
    ends = [(part[-1].due_ms, after[0].due_ms) for part, after in pairwise(parts)]
    assert all(before < after for before, after in ends)
    assert all(len(part) < AT_ONCE + each * times.count(part[-1].due_ms) for part in parts)
