"""A path says what a file is, and what does not say it is no file of the archive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.names import Span, date_of, day_of, parse

TOPICS = st.text("abcXYZ0189._-", min_size=1, max_size=12).filter(lambda name: name not in (".", ".."))


@given(TOPICS, st.integers(0, 10**6), st.integers(0, 2**62), st.integers(0, 2**62), st.integers(0, 2_932_896))
def test_a_path_is_read_as_it_was_written(topic: str, partition: int, first: int, more: int, day: int) -> None:
    span = Span(topic, partition, first, first + more, date_of(day))
    assert parse(span.path) == span


def test_paths_sort_as_their_offsets_do() -> None:
    paths = [Span("orders", 0, first, first + 5, "2026-01-15").path for first in (0, 9, 10, 99, 1000, 10**15)]
    assert paths == sorted(paths)


@pytest.mark.parametrize(
    "path",
    [
        "orders/date=2026-01-15/.orders-00000-00000000000000000000-00000000000000000005.parquet.77.tmp",
        "orders/date=2026-01-15/cart-00000-00000000000000000000-00000000000000000005.parquet",
        "orders/date=2026-01-15/orders-00000-00000000000000000006-00000000000000000005.parquet",
        "orders/orders-00000-00000000000000000000-00000000000000000005.parquet",
        "orders/date=2026-01-15/mine.parquet",
        "README.md",
    ],
)
def test_what_is_not_named_so_is_none_of_ours(path: str) -> None:
    assert parse(path) is None


@pytest.mark.parametrize(("at_ms", "date"), [(-1, "1970-01-01"), (0, "1970-01-01"), (2**62, "9999-12-31")])
def test_a_timestamp_without_a_date_counts_as_the_nearest_that_has_one(at_ms: int, date: str) -> None:
    assert date_of(day_of(at_ms)) == date
