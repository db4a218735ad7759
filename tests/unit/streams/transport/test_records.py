"""Fetched: what a fetch response holds, given out a range at a time."""

import pytest

from streams.transport.aio import READ_COMMITTED, CorruptRecordException
from streams.transport.records import Fetched, unread
from tests.unit.streams.transport.batches import batch, marker

UNCOMMITTED = 0


def fetched(raw: bytes, at: int, aborted: list[tuple[int, int]] | None = None) -> Fetched:
    return Fetched(unread(raw, "orders", 0, at, aborted, READ_COMMITTED))


def offsets(part: Fetched, limit: int) -> list[int]:
    return [record.offset for record in part.take(limit)]


def test_records_come_in_order_across_batches_and_cuts() -> None:
    part = fetched(batch(10, [b"v"] * 3) + batch(13, [b"v"] * 4), 10)
    assert (part.first, part.end) == (10, 17)
    assert [offsets(part, 2), offsets(part, 3), offsets(part, 99)] == [[10, 11], [12, 13, 14], [15, 16]]
    assert part.empty


def test_a_cut_at_the_very_end_leaves_nothing() -> None:
    part = fetched(batch(0, [b"v"] * 4), 0)
    assert offsets(part, 4) == [0, 1, 2, 3]
    assert part.empty


def test_a_fetch_from_within_a_batch_skips_what_lies_before() -> None:
    part = fetched(batch(10, [b"v"] * 5), 12)
    assert (part.first, offsets(part, 99), part.end) == (12, [12, 13, 14], 15)


def test_offsets_that_compaction_removed_are_holes_and_the_end_counts_them() -> None:
    part = fetched(batch(10, [b"v"] * 5, holes=[1, 4]), 10)
    assert (offsets(part, 99), part.end) == ([10, 12, 13], 15)


def test_transaction_markers_are_no_records_but_positions() -> None:
    raw = batch(0, [b"v"] * 2, producer=7, transactional=True) + marker(2, 7, commit=True)
    part = fetched(raw, 0)
    assert (offsets(part, 99), part.end) == ([0, 1], 3)


def test_aborted_records_are_never_given_out() -> None:
    raw = (
        batch(0, [b"aborted"] * 2, producer=7, transactional=True)
        + marker(2, 7, commit=False)
        + batch(3, [b"kept"], producer=7, transactional=True)
        + marker(4, 7, commit=True)
    )
    part = fetched(raw, 0, [(7, 0)])
    assert [record.value for record in part.take(99)] == [b"kept"]
    assert part.end == 5


def test_a_fetch_of_markers_alone_is_empty_and_moves_on() -> None:
    part = fetched(marker(4, 7, commit=True), 4)
    assert (part.empty, part.end, offsets(part, 99)) == (True, 5, [])


def test_a_wrong_checksum_is_refused() -> None:
    raw = bytearray(batch(0, [b"value"]))
    raw[-1] ^= 1
    with pytest.raises(CorruptRecordException, match="orders"):
        fetched(bytes(raw), 0)


def test_a_batch_cut_off_by_the_fetch_size_is_left_for_the_next_fetch() -> None:
    part = fetched(batch(0, [b"v"] * 2) + batch(2, [b"v"] * 9)[:-5], 0)
    assert (offsets(part, 99), part.end) == ([0, 1], 2)
