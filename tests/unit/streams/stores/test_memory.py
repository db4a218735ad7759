"""Sizes that allocators have, and what a value that grows reserves."""

from __future__ import annotations

import numpy as np
import pytest

from streams.stores.memory import Allocator, key_bytes, reserved, tables_bytes, taken


@pytest.mark.parametrize(
    ("asked", "size"),
    [(1, 8), (8, 8), (9, 16), (48, 48), (49, 64), (128, 128), (129, 160), (161, 192), (256, 256), (257, 320),
     (520, 640), (1_024, 1_024), (1_025, 1_280), (4_097, 5_120)],
)  # fmt: skip
def test_jemalloc_has_four_sizes_a_doubling(asked: int, size: int) -> None:
    assert taken(np.array([asked]), "jemalloc").tolist() == [size]


@pytest.mark.parametrize(("asked", "size"), [(1, 24), (24, 24), (25, 40), (40, 40), (41, 56), (1_000, 1_000)])
def test_the_c_library_has_one_every_16_bytes(asked: int, size: int) -> None:
    assert taken(np.array([asked]), "libc").tolist() == [size]


@pytest.mark.parametrize("allocator", ["libc", "jemalloc"])
def test_what_is_appended_reserves_as_much_again_and_what_is_written_at_once_does_not(allocator: Allocator) -> None:
    length, written = np.array([400, 400, 440]), np.array([400, 40, 400])
    whole, grown, one_more = reserved(length, written, 40, allocator).tolist()
    assert whole == 400
    assert 400 <= grown <= 820
    assert 880 <= one_more <= 1_100


def test_a_long_key_costs_its_length() -> None:
    value = np.array([400])
    short, long = (int(key_bytes(size, value, value, 40, "libc")[0]) for size in (16, 80))
    assert 48 <= long - short <= 80


def test_tables_double_where_buckets_are_full() -> None:
    assert tables_bytes(0) == 0
    a_key = [tables_bytes(keys) / keys for keys in (1e6, 1.1e6, 1.2e6, 4e6, 100e6)]
    assert all(18 < one < 45 for one in a_key)
