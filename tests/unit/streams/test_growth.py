"""Bags stay small: what may be folded, and how long ranges may be."""

from hypothesis import given
from hypothesis import strategies as st

from features.bag import stamps_of
from features.entry import ENTRY_BYTES
from features.shop import MERCHANT
from streams.growth import (
    EVERY,
    FIRST_RANGE,
    LEAST_RANGE,
    MOST_BYTES,
    NOTABLE_BYTES,
    QUIET_US,
    ROUNDS,
    SHORTER,
    TOGETHER_US,
    Appetite,
    Growth,
    Size,
    Stamps,
    largest_of,
    size_of,
)
from streams.protocol.ports import Tp

OURS, OTHER = Tp("orders", 0, "t"), Tp("orders", 1, "t")
NOW = 1_800_000_000_000_000
LITTLE, MUCH = size_of(500, 500), Size(8_000, SHORTER + 0.01)


def bag(*stamps: int) -> bytes:
    """A bag that was never folded, with one entry for each stamp."""
    return b"".join(stamp.to_bytes(8, "big") + bytes(ENTRY_BYTES) for stamp in stamps)


def grown(stamps: Stamps, *numbers: int) -> Growth:
    """A partition of one shard whose ranges had these numbers."""
    growth = Growth(OURS, Appetite(2_000), stamps)
    for number in numbers:
        growth.taken([number], Size(0, 0.0), 1)
    return growth


def below(growth: Growth, content: bytes) -> int:
    return growth.fold_below(stamps_of(MERCHANT, content).tolist(), 0, growth.known(0)) - NOW


def test_everything_below_the_own_range_is_folded_where_nobody_may_ask_for_it_again() -> None:
    growth = grown(Stamps(), NOW + 10, NOW + 20)
    assert below(growth, bag(NOW + 1, NOW + 10)) == 20


def test_the_last_range_of_another_partition_of_ours_is_left_alone() -> None:
    stamps = Stamps()
    stamps.took(OTHER, [NOW + 5])
    stamps.took(OTHER, [NOW + 12])
    growth = grown(stamps, NOW + 10, NOW + 20)
    assert below(growth, bag(NOW + 1, NOW + 5, NOW + 12, NOW + 13)) == 12


def test_a_partition_that_left_blocks_nothing() -> None:
    stamps = Stamps()
    stamps.took(OTHER, [NOW + 5])
    growth = grown(stamps, NOW + 10, NOW + 20)
    assert below(growth, bag(NOW + 5)) == 5
    stamps.left(OTHER)
    assert below(growth, bag(NOW + 5)) == 20


def test_of_another_worker_only_what_came_since_our_range_before_is_left_alone() -> None:
    growth = grown(Stamps(), NOW + 10, NOW + 20)
    assert below(growth, bag(NOW + 4, NOW + 15, NOW + 16)) == 15


def test_what_is_seconds_old_is_folded_whoever_it_is_from() -> None:
    growth = grown(Stamps(), NOW + 10, NOW + 20 + QUIET_US)
    assert below(growth, bag(NOW + 15)) == 20 + QUIET_US


def test_nothing_is_folded_before_the_second_range() -> None:
    growth = Growth(OURS, Appetite(2_000), Stamps())
    growth.taken([NOW], MUCH, EVERY)
    assert not growth.due(MUCH)
    assert not growth.due(Size(MOST_BYTES, 1.0))


def test_small_bags_are_looked_at_now_and_then_and_large_ones_always() -> None:
    growth = grown(Stamps(), NOW, NOW + 1)
    due = []
    for _ in range(8):
        growth.taken([NOW], Size(0, 0.0), EVERY // 4)
        due.append(growth.due(LITTLE))
    assert sum(due) == 2
    assert growth.due(Size(NOTABLE_BYTES + 1, 0.0))


def test_a_large_bag_with_little_that_is_raw_is_small_in_this_respect() -> None:
    growth = grown(Stamps(), NOW, NOW + 1)
    assert not growth.due(size_of(MOST_BYTES, 400))


def test_of_a_bag_that_two_ranges_have_read_in_one_go_one_asks_for_a_swap() -> None:
    stamps = Stamps()
    first, second = grown(stamps, NOW, NOW + 1), grown(stamps, NOW, NOW + 2)
    assert first.asks("merchant", "m1", 0)
    assert not second.asks("merchant", "m1", 0)
    assert second.asks("merchant", "m2", 0)
    second.taken([NOW + 1 + TOGETHER_US], Size(0, 0.0), 1)
    assert second.asks("merchant", "m1", 0)


def test_what_is_raw_is_measured_by_the_room_that_tiles_leave_it() -> None:
    assert size_of(4_000, 4_000) == Size(4_000, 4_000 / MOST_BYTES)
    assert size_of(MOST_BYTES, 4_000) == Size(4_000, 1.0)
    assert size_of(MOST_BYTES + 4_000, 4_000).full >= 1.0


def test_of_the_bags_of_a_range_the_fullest_counts() -> None:
    hundred = bag(*range(NOW, NOW + 100))
    assert largest_of(MERCHANT, [None, bag(NOW), hundred]) == size_of(len(hundred), len(hundred))
    assert largest_of(MERCHANT, [None]) == Size(0, 0.0)


def feed(appetite: Appetite, size: Size, ranges: int, partitions: int = 4) -> None:
    for _ in range(ranges):
        appetite.fed(size, partitions)


def test_while_bags_are_small_ranges_grow_to_what_is_wanted() -> None:
    appetite = Appetite(2_000)
    assert appetite.records == FIRST_RANGE
    feed(appetite, LITTLE, 100)
    assert appetite.records == 2_000


def test_a_bag_whose_room_fills_up_halves_the_ranges_at_once() -> None:
    appetite = Appetite(2_000)
    feed(appetite, LITTLE, 100)
    feed(appetite, MUCH, 5)
    assert appetite.records == 1_000


def test_one_bad_range_is_not_answered_twice() -> None:
    appetite = Appetite(2_000)
    feed(appetite, LITTLE, 100)
    while appetite.records == 2_000:
        feed(appetite, MUCH, 1)
    feed(appetite, MUCH, 4)  # the other partitions still show ranges of the size before
    assert appetite.records == 1_000


@given(shares=st.floats(0.001, 0.6), base=st.integers(0, 10_000), most=st.integers(1, 5_000))
def test_whatever_the_busiest_entitys_share_its_bag_settles_below_the_limit(
    shares: float, base: int, most: int
) -> None:
    appetite, partitions, largest = Appetite(most), 4, 0
    for turn in range(600):
        raw = int(partitions * appetite.records * shares) * 40
        appetite.fed(size_of(base + raw, raw), partitions)
        largest = max(largest, base + raw) if turn > 100 else 0
    floor = int(partitions * min(LEAST_RANGE, most) * shares) * 40 + base
    assert largest < max(16 * 1024, floor + 1)
    assert min(LEAST_RANGE, most) <= appetite.records <= most


def test_ranges_are_changed_no_oftener_than_it_can_show() -> None:
    appetite, changes = Appetite(2_000), 0
    for _ in range(12 * ROUNDS):
        before = appetite.records
        appetite.fed(LITTLE, 4)
        changes += appetite.records != before
    assert changes <= 3
