"""All partitions as one sequence of ranges, by their least number, as complete as it says."""

from __future__ import annotations

import asyncio

from features.replay import Range
from streams.past.feed import COMPLETE, Feed
from streams.protocol.ports import Tp, Verdict
from tests.support.past import Event, Live, Record, definitions, row_of


def event(n: int = 0) -> Event:
    return Event("ann", "here", 100_000 + n)


async def fed(feed: Feed) -> list[Range]:
    await feed.line(0)
    return [range_ async for range_ in feed.ranges()]


def opened(live: Live) -> Feed:
    list(live.through())
    feed = Feed(live.log, definitions())
    asyncio.run(feed.open())
    return feed


def test_ranges_come_by_their_least_number_whatever_partition_they_are_of() -> None:
    live = Live()
    for n in range(6):
        live.range(("orders", "clicks")[n % 2], n // 2 % 2, [event(n), event(n + 1)])
    for n in range(8):
        live.step(list(live.open)[n % len(live.open)], n)
    ranges = asyncio.run(fed(opened(live)))
    assert [min(range_.numbers) for range_ in ranges] == sorted(min(range_.numbers) for range_ in live.ranges)
    assert {tuple(range_.numbers): range_.events for range_ in ranges} == {
        tuple(range_.numbers): range_.events for range_ in live.ranges
    }


def test_topics_whose_events_go_into_no_bag_are_left_out() -> None:
    live = Live()
    live.range("noise", 0, [event()])
    live.range("orders", 0, [event()])
    assert [range_.topic for range_ in asyncio.run(fed(opened(live)))] == ["orders"]


def test_what_was_not_fresh_is_left_out() -> None:
    live = Live()
    live.range("orders", 0, [event(0), event(1), event(2)])
    feed = opened(live)
    live.log.rows_of["orders", 0][0].exceptions[1] = Verdict.DUPLICATE
    (range_,) = asyncio.run(fed(feed))
    assert range_.tag.offset.tolist() == [0, 2]
    assert [one.at for one in range_.events] == [100_000, 100_002]


def test_a_log_that_grows_is_read_on_from_the_line_before() -> None:
    live = Live()
    live.range("orders", 0, [event(0)])
    feed = opened(live)
    assert len(asyncio.run(fed(feed))) == 1
    live.range("orders", 0, [event(1)])
    live.range("orders", 0, [event(2)])
    list(live.through())
    assert [range_.tag.offset.tolist() for range_ in asyncio.run(fed(feed))] == [[1], [2]]


def test_it_is_complete_up_to_the_rows_that_lie_ready() -> None:
    live = Live()
    for n in range(3):
        live.range("orders", 0, [event(n)])
    feed = opened(live)

    async def first() -> None:
        await feed.line(0)
        async for _ in feed.ranges():
            break

    asyncio.run(first())
    assert list(feed.complete) == list(live.ranges[1].numbers)


def test_nothing_is_lost_of_a_log_that_is_there_from_its_first_row_on() -> None:
    live = Live()
    live.range("orders", 0, [event()])
    feed = opened(live)
    asyncio.run(fed(feed))
    assert feed.lost_ms == COMPLETE


def test_of_a_log_whose_beginning_is_gone_what_was_lost_is_older_than_what_is_left() -> None:
    live = Live()
    for n in range(3):
        live.range("orders", 0, [event(n)])
    feed = opened(live)
    live.log.kept["orders", 0] = [Record(2, live.log.kept["orders", 0][2].value, timestamp=777)]
    ranges = asyncio.run(fed(feed))
    assert [len(range_.events) for range_ in ranges] == [0, 0, 1]
    assert feed.lost_ms == 777


def test_what_other_partitions_decide_around_a_loss_is_doubtful() -> None:
    """orders/0 lost its tail after number 100, and was caught up before 200."""
    live = Live()
    tp, other = Tp("orders", 0, "t"), Tp("orders", 1, "t")
    value = live.log
    live.range("orders", 0, [event()])
    (record,) = [held for _ in live.through() for held in value.kept["orders", 0]]
    value.kept.clear()
    value.rows_of.clear()
    for first, numbers, recovered in ((0, 100, False), (1, 200, True), (2, 300, False)):
        value.add([Record(first, record.value)], row_of(tp, first, first, (numbers,) * 3, recovered=recovered))
    for first, numbers in ((0, 50), (1, 150), (2, 250)):
        value.add([Record(first, record.value)], row_of(other, first, first, (numbers,) * 3))
    ranges = asyncio.run(fed(opened(live)))
    assert [(range_.numbers[0], range_.tag.doubtful) for range_ in ranges] == [
        (50, False), (100, False), (150, True), (200, True), (250, False), (300, False),
    ]  # fmt: skip


def test_ranges_of_records_that_are_all_too_old_are_left_out_and_count_as_lost() -> None:
    live = Live()
    for n in range(3):
        live.range("orders", 0, [event(n), event(n)])
    list(live.through())
    kept = live.log.kept["orders", 0]
    live.log.kept["orders", 0] = [Record(r.offset, r.value, timestamp=1_000 + r.offset) for r in kept]
    feed = Feed(live.log, definitions(), since_ms=1_003)
    asyncio.run(feed.open())
    assert [range_.tag.offset.tolist() for range_ in asyncio.run(fed(feed))] == [[2, 3], [4, 5]]
    assert feed.lost_ms == 1_002
