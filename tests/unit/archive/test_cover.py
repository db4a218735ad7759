"""Which files to read, to remove, to merge, to expire: whatever files there are, every offset once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.cover import Gap, contained, cover, expired, merges, newest, next_offset
from archive.names import File
from tests.unit.archive.build import file

SPANS = st.tuples(st.integers(0, 40), st.integers(0, 15)).map(lambda at: (at[0], at[0] + at[1]))
FILES = st.lists(st.tuples(SPANS, st.integers(1, 100)), max_size=15, unique_by=lambda one: one[0]).map(
    lambda found: [file(first, last, size) for (first, last), size in found]
)


def offsets(files: list[File]) -> set[int]:
    return {offset for one in files for offset in range(one.first, one.last + 1)}


def read(files: list[File]) -> list[int]:
    return [offset for piece in cover(files).pieces for offset in range(piece.first, piece.last + 1)]


@given(FILES)
def test_every_offset_is_read_once_and_in_order(files: list[File]) -> None:
    assert read(files) == sorted(offsets(files))


@given(FILES)
def test_the_gaps_are_what_no_file_has(files: list[File]) -> None:
    gaps = [offset for gap in cover(files).gaps for offset in range(gap.first, gap.last + 1)]
    held = offsets(files)
    assert gaps == [offset for offset in range(min(held, default=0), max(held, default=-1)) if offset not in held]


@given(FILES, st.integers(0, 60))
def test_who_goes_on_reads_the_rest_and_learns_of_what_is_missing(files: list[File], since: int) -> None:
    found = cover(files, since)
    assert [o for piece in found.pieces for o in range(piece.first, piece.last + 1)] == [
        offset for offset in sorted(offsets(files)) if offset >= since
    ]
    held = [offset for offset in offsets(files) if offset >= since]
    assert not held or (since in held) == (Gap(since, min(held) - 1) not in found.gaps)


def test_of_two_that_begin_where_the_reader_is_the_one_that_reaches_further_is_read() -> None:
    assert [piece.file for piece in cover([file(0, 4), file(0, 9), file(5, 9)]).pieces] == [file(0, 9)]


def test_of_a_file_that_begins_earlier_only_the_rest_is_read() -> None:
    first, second = cover([file(0, 4), file(3, 9)]).pieces
    assert (first.first, first.last, second.first, second.last) == (0, 4, 5, 9)


@given(FILES)
def test_what_is_contained_can_go_and_nothing_is_missed(files: list[File]) -> None:
    gone = contained(files)
    assert offsets([one for one in files if one not in gone]) == offsets(files)


@given(FILES, st.sets(st.integers(0, 14)), st.sets(st.integers(0, 14)))
def test_two_cleaners_with_listings_of_their_own_lose_nothing_together(
    files: list[File], one: set[int], other: set[int]
) -> None:
    gone = {file for unseen in (one, other) for file in contained([f for n, f in enumerate(files) if n not in unseen])}
    assert offsets([file for file in files if file not in gone]) == offsets(files)


@given(FILES, st.integers(1, 400))
def test_a_merge_covers_what_it_is_made_of_and_no_more(files: list[File], target: int) -> None:
    for plan in merges(files, target):
        made = File(plan.span, sum(piece.file.size for piece in plan.sources))
        assert all(piece.file.within(made) for piece in plan.sources)
        assert [o for p in plan.sources for o in range(p.first, p.last + 1)] == list(range(made.first, made.last + 1))
        assert made.size <= target
        assert newest(files) not in [piece.file for piece in plan.sources]


def test_small_neighbours_of_a_date_become_one_and_the_newest_stays() -> None:
    files = [file(at, at, 10) for at in range(6)]
    (plan,) = merges(files, 1000)
    assert (plan.span.first, plan.span.last) == (0, 4)


def test_dates_stay_apart() -> None:
    files = [file(at, at, 10, "2026-01-01" if at < 3 else "2026-01-02") for at in range(6)]
    assert [(plan.span.first, plan.span.last, plan.span.date) for plan in merges(files, 1000)] == [
        (0, 2, "2026-01-01"),
        (3, 4, "2026-01-02"),
    ]


def test_what_was_merged_is_left_alone_until_it_would_double() -> None:
    large = [file(0, 9, 100), *(file(at, at, 10) for at in range(10, 15))]
    (plan,) = merges(large, 1000)
    assert plan.span.first == 10
    (plan,) = merges(large, 100 * 32)
    assert plan.span.first == 0, "a tiny file costs nothing"
    grown = [file(0, 9, 100), *(file(at, at, 10) for at in range(10, 22))]
    (plan,) = merges(grown, 1000)
    assert plan.span.first == 0


@given(FILES)
def test_the_writer_goes_on_behind_everything(files: list[File]) -> None:
    assert next_offset(files) == (max(offsets(files)) + 1 if files else None)


def test_retention_removes_from_the_front_and_never_the_newest() -> None:
    files = [file(at, at, 1, f"2026-01-0{at + 1}") for at in range(5)]
    assert expired(files, "2026-01-03", "2026-01-05") == files[:2]
    assert expired(files, "2027-01-01", "2027-01-01") == files[:4]


def test_retention_makes_no_hole_where_dates_are_out_of_order() -> None:
    files = [file(0, 0, 1, "2026-01-05"), file(1, 1, 1, "2026-01-01"), file(2, 2, 1, "2026-01-06")]
    assert expired(files, "2026-01-03", "2026-01-07") == []


def test_a_date_of_the_future_keeps_nothing() -> None:
    files = [file(0, 0, 1, "2026-01-01"), file(1, 1, 1, "9999-12-31")]
    files += [file(2, 2, 1, "2026-01-02"), file(3, 3, 1, "2026-01-03")]
    assert expired(files, "2026-01-03", "2026-02-01") == files[:3]


@pytest.mark.parametrize("files", [[], [file(3, 5)]])
def test_little_needs_nothing(files: list[File]) -> None:
    assert not merges(files, 10)
    assert not contained(files)
    assert not expired(files, "9999-01-01", "9999-01-01")
