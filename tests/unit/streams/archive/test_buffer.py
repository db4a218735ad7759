"""Which records make which file: every record in one, in order, whatever the limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from archive.names import date_of, day_of
from archive.parquet import size_of
from streams.archive.buffer import Buffer, Cut, Limits
from tests.unit.archive.build import DAY_MS, START_MS, row

NEVER = Limits(file_bytes=10**9, file_s=60.0)
LOGS = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), max_size=40)


def made(log: list[tuple[int, int]], limits: Limits, at_once: int = 7) -> tuple[list[int], list[Cut]]:
    """The offsets of a log of (distance, day) and the files that come of it."""
    records, offset = [], 9
    for distance, day in log:
        offset += distance
        records.append(row(offset, START_MS + day * DAY_MS))
    buffer, cuts = Buffer("orders", 0, 10, limits), list[Cut]()
    for begin in range(0, len(records), at_once):
        cuts += buffer.take(records[begin : begin + at_once], 0.0)
    return [record.offset for record in records], cuts + buffer.cut()


@given(LOGS, st.integers(1, 500), st.integers(1, 10))
def test_every_record_is_in_one_file_and_files_follow_each_other_without_a_gap(
    log: list[tuple[int, int]], file_bytes: int, at_once: int
) -> None:
    offsets, cuts = made(log, Limits(file_bytes, 60.0), at_once)
    assert [record.offset for cut in cuts for record in cut.records] == offsets
    ends = [10, *(cut.span.last + 1 for cut in cuts)]
    assert [cut.span.first for cut in cuts] == ends[:-1]
    assert all(cut.span.first <= cut.records[0].offset and cut.span.last == cut.records[-1].offset for cut in cuts)


@given(LOGS)
def test_no_record_is_younger_than_its_file(log: list[tuple[int, int]]) -> None:
    for cut in made(log, NEVER)[1]:
        assert max(date_of(day_of(record.timestamp)) for record in cut.records) == cut.span.date


def test_days_that_take_turns_at_midnight_make_two_files() -> None:
    assert [len(cut.records) for cut in made([(1, n % 2) for n in range(20)], NEVER)[1]] == [1, 19]


def test_a_file_ends_with_its_bytes() -> None:
    records = [row(n) for n in range(10)]
    buffer = Buffer("orders", 0, 0, Limits(3 * size_of(records[0]), 60.0))
    assert [len(cut.records) for cut in buffer.take(records, 0.0)] == [3, 3, 3]
    assert (len(buffer), buffer.first, buffer.next) == (1, 9, 10)


def test_a_file_is_due_when_its_first_record_has_waited() -> None:
    buffer = Buffer("orders", 0, 0, NEVER)
    assert not buffer.due(1e9)
    buffer.take([row(0)], 100.0)
    buffer.take([row(1)], 150.0)
    assert not buffer.due(159.9)
    assert buffer.due(160.0)


def test_what_was_archived_already_is_left_out() -> None:
    buffer = Buffer("orders", 0, 5, NEVER)
    buffer.take([row(n) for n in range(3, 8)], 0.0)
    (cut,) = buffer.cut()
    assert [record.offset for record in cut.records] == [5, 6, 7]
