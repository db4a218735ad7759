"""An online model: what it has learned is a function of the records, however they were cut and repeated."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.learner.online import Online, Place, Row
from tests.unit.streams.learner.rows import COUNTS, VECTORS, counts_of, record, rows


def taught(some: list[Row]) -> Online:
    model = Online.new(COUNTS, VECTORS, "topic")
    model.take(some)
    return model


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_however_records_are_cut_and_repeated_it_is_the_same_model(seed: int, count: int) -> None:
    dice, every = Random(seed), rows(count)
    model = Online.new(COUNTS, VECTORS, "topic")
    at = 0
    while at < count:
        step = dice.randint(1, 5)
        model.take(every[max(0, at - dice.randint(0, 4)) : at + step])
        if dice.random() < 0.3:  # killed: it goes on from its snapshot
            snapshot = model.snapshot()
            model = Online(COUNTS, VECTORS, counts_of(snapshot.state, VECTORS.names), model.place)
        at += step
    assert model.learner.state() == taught(every).learner.state()
    assert model.place == taught(every).place == Place("topic", count, 99 + count, f"e{count - 1:04d}", count)


def test_a_record_that_was_written_twice_is_learned_once() -> None:
    first, second = rows(2)
    again = Row(2, first.record)
    model = taught([first, second, again])
    assert model.place.rows == 2
    assert model.place.offset == 2, "the place is that of the last record that counted"


def test_vectors_of_other_features_are_passed_over_and_counted() -> None:
    strange = Row(0, record("a", 5, feature_hash="11ff00ff00ff00ff"))
    short = Row(1, record("b", 6, vector=(1.0,)))
    model = taught([strange, short, Row(2, record("c", 7))])
    assert (model.learned, model.skipped, model.place.rows) == (1, 2, 3)


def test_a_correction_is_one_more_row() -> None:
    good = record("a", 5, 0)
    model = taught([Row(0, good), Row(1, replace(good, due_ms=9, label=1, was=0, turn=2))])
    assert model.learner.state() == b"[1, 2]"


def test_a_snapshot_says_how_far_it_had_read_and_what_its_state_is() -> None:
    snapshot = taught(rows(7)).snapshot()
    assert snapshot.version == "00000000000000000007"
    about = snapshot.about()
    assert (about["offset"], about["rows"], about["event_id"]) == (7, 7, "e0006")
    assert taught(rows(7)).snapshot().about() == about
