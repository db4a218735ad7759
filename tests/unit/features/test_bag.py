from __future__ import annotations

import struct

import numpy as np
import pytest

from features.bag import BadBagError, lift, parse
from features.compact import compact
from tests.unit.features.build import ENTRY_BYTES, SECONDS, compacted, group, limits, own, stamped

NOBODY = group()
SHARED = group(others=("a", "b", "c"), counted=SECONDS)


def test_an_entry_lies_in_the_bag_as_documented() -> None:
    bag = stamped(SHARED, own([5_000], [250], others=[[7], [8], [9]]), number=0x1122334455)
    at, amount, a, b, c, place, flags, mark = struct.unpack("<qqIIIHBB", bag[8:])
    assert bag[:8] == bytes([0, 0, 0, 0x11, 0x22, 0x33, 0x44, 0x55]), "the stamp sorts as bytes"
    assert (at, amount, a, b, c, flags) == (5_000, 250, 7, 8, 9, 1)
    assert place == (250**32).bit_length()
    assert mark == 1 << 5 | SHARED.layout


def test_a_compacted_bag_has_a_header_tiles_and_others() -> None:
    bag = compacted(SHARED, stamped(SHARED, own([5_000, 5_100], [250, 50], others=[[7, 7], [8, 9], [0, 0]])))
    version, layout, tiles, others, spare, newest, floor = struct.unpack("<BBHHHqq", bag[:24])
    assert (version, layout, tiles, others, spare, newest, floor) == (1, SHARED.layout, 1, 3, 0, 5_100, -1)
    first, count, total, places, squares, most = struct.unpack("<6q", bag[24:72])
    place = [(a**32).bit_length() for a in (250, 50)]
    assert (first >> 8, first & 255) == (5_000, 0)
    assert (count, total, most) == (2, 300, 250)
    assert (places, squares) == (sum(place), sum(p * p for p in place))
    assert len(bag) == 72 + 3 * 8


def test_entries_stamped_with_the_limit_or_above_are_not_read() -> None:
    bag = stamped(NOBODY, own([1_000]), 10) + stamped(NOBODY, own([2_000]), 20) + stamped(NOBODY, own([3_000]), 30)
    for limit, newest in ((10, -1), (11, 1_000), (20, 1_000), (21, 2_000), (31, 3_000)):
        assert lift(NOBODY, [bag], limits(limit)).newest.tolist() == [newest]


def test_numbers_beyond_2_to_the_63_are_compared_unsigned() -> None:
    assert lift(NOBODY, [stamped(NOBODY, own([1_000]), 5)], limits(2**64 - 1)).newest.tolist() == [1_000]


def test_missing_and_empty_bags_have_nothing() -> None:
    past = lift(NOBODY, [None, b""], limits(9, 9))
    assert past.newest.tolist() == [-1, -1]
    assert past.rows.at.tolist() == []


def test_no_bags_at_all() -> None:
    assert lift(NOBODY, [], limits()).newest.tolist() == []


@pytest.mark.parametrize(
    ("bag", "message"),
    [
        (b"\x02\x01" + bytes(22), "version 2 and this worker reads up to 1: upgrade this worker"),
        (b"\x01\x09" + bytes(22), "not of layout 1: give the group the layout"),
        (bytes(39), "not a whole number of words"),
        (bytes(32), "cut off"),
        (b"\x01\x01\x05\x00" + bytes(20), "cut off"),
    ],
)
def test_bytes_that_cannot_be_read_are_refused_with_the_group_and_the_remedy(bag: bytes, message: str) -> None:
    with pytest.raises(BadBagError, match=message) as raised:
        parse(NOBODY, [None, bag])
    assert "'g'" in str(raised.value)


def test_an_entry_of_another_layout_or_version_is_refused() -> None:
    bag = stamped(group(layout=2), own([1_000]))
    with pytest.raises(BadBagError, match="an entry of layout 2, want layout 1: give the group the layout"):
        lift(NOBODY, [bag], limits(10**9))
    newer = bag[:-1] + bytes([2 << 5 | 1])
    with pytest.raises(BadBagError, match="an entry has version 2 and this worker reads up to 1: upgrade this worker"):
        lift(NOBODY, [newer], limits(10**9))


def test_a_swap_covers_exactly_the_folded_entries() -> None:
    bag = stamped(NOBODY, own([1_000, 2_000]), 10) + stamped(NOBODY, own([3_000]), 20)
    done = compact(NOBODY, [bag], limits(20))[0]
    assert done is not None
    assert (len(done.prefix), done.newest) == (2 * ENTRY_BYTES, 10)
    assert bag.startswith(done.prefix)
    again = compact(NOBODY, [done.replacement + bag[len(done.prefix) :]], limits(21))[0]
    assert again is not None
    assert again.newest == 20
    assert again.prefix.startswith(done.replacement)


def test_there_is_nothing_to_compact_below_the_first_stamp() -> None:
    assert compact(NOBODY, [stamped(NOBODY, own([1_000]), 10), b""], limits(10, 10)) == [None, None]


def test_bags_are_read_together_as_they_are_alone() -> None:
    bags = [compacted(NOBODY, stamped(NOBODY, own([i * 700 for i in range(n)]))) for n in (1, 5, 30)]
    bags.insert(1, stamped(NOBODY, own([1_000, 500])))
    together = lift(NOBODY, bags, limits(*[10**9] * 4))
    for i, bag in enumerate(bags):
        by_itself = lift(NOBODY, [bag], limits(10**9))
        mine = together.rows.owner == i
        assert np.array_equal(together.rows.sums[:, mine].sum(axis=1), by_itself.rows.sums.sum(axis=1))
        assert together.newest[i] == by_itself.newest[0]
