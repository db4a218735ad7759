"""One partition's source: the batch that follows, a seek for any other place, acknowledgements when all is out."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pytest

from streams.protocol.ports import Batch, Stop, Tp
from streams.transport.consumer import Delivery
from streams.transport.source import KafkaSource

TP = Tp("orders", 3, "id")
IDLE_S = 0.25


@dataclass
class Rec:
    offset: int


@dataclass
class Event:
    value: Delivery
    acked: bool = False

    def ack(self) -> None:
        self.acked = True


@dataclass
class Log:
    start: int = 0
    end: int = 1_000

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        assert (topic, partition) == ("orders", 3)
        return self.start, self.end

    async def read(self, topic: str, partition: int, first: int, last: int) -> list[Rec]:
        assert (topic, partition) == ("orders", 3)
        return [Rec(offset) for offset in range(max(first, self.start), min(last + 1, self.end))]


@dataclass
class Rig:
    """A source and the consumer's side of it."""

    log: Log = field(default_factory=Log)
    seeks: list[int] = field(default_factory=list)
    epoch: int = 0
    limit: int = 10

    def __post_init__(self) -> None:
        log: Any = self.log
        self.source = KafkaSource(TP, log, self.rewind, limit=self.limit, idle_s=IDLE_S)

    async def rewind(self, place: int) -> int:
        await asyncio.sleep(0)
        self.seeks.append(place)
        self.epoch += 1
        return self.epoch

    def put(self, first: int, offsets: Sequence[int], epoch: int | None = None) -> Event:
        records: Any = [Rec(offset) for offset in offsets]
        event = Event(Delivery(first, records, self.epoch if epoch is None else epoch))
        untyped: Any = event
        self.source.put(untyped)
        return event

    async def asked(self, place: int) -> "asyncio.Task[Batch[Any] | None]":
        """The driver's question, waiting for records."""
        asking = asyncio.create_task(self.source.next(place))
        await asyncio.sleep(0.01)
        return asking


def offsets(batch: Batch[Any] | None) -> list[int]:
    assert batch is not None
    return [record.offset for record in batch.records]


async def begun(place: int = 0, **parts: Any) -> tuple[Rig, "asyncio.Task[Batch[Any] | None]"]:
    rig = Rig(**parts)
    return rig, await rig.asked(place)


async def test_the_first_question_seeks_and_waits_for_its_batch() -> None:
    rig, asking = await begun(5)
    rig.put(5, [5, 6, 7])
    batch = await asking
    assert (rig.seeks, batch and batch.first, offsets(batch)) == ([5], 5, [5, 6, 7])


async def test_what_follows_comes_without_a_seek_and_small_batches_together() -> None:
    rig, asking = await begun()
    rig.put(0, [0])
    await asking
    for first in range(1, 30, 3):
        rig.put(first, range(first, first + 3))
    assert offsets(await rig.source.next(1)) == list(range(1, 11))
    assert offsets(await rig.source.next(11)) == list(range(11, 21))
    assert rig.seeks == [0]


async def test_a_hole_belongs_to_the_batch_after_it() -> None:
    rig, asking = await begun()
    rig.put(0, [0, 1])
    await asking
    rig.put(2, [6, 7])
    rig.source.done(1)
    batch = await rig.source.next(2)
    assert (batch and batch.first, offsets(batch), rig.seeks) == (2, [6, 7], [0])


async def test_a_batch_is_acknowledged_only_when_all_of_it_is_published() -> None:
    rig, asking = await begun(limit=2)
    event = rig.put(0, [0, 1, 2])
    assert offsets(await asking) == [0, 1]
    rig.source.done(1)
    await rig.source.next(2)
    assert not event.acked
    rig.source.done(2)
    assert event.acked
    assert rig.source.finished == 3


async def test_asking_ahead_acknowledges_nothing() -> None:
    rig, asking = await begun(limit=2)
    event = rig.put(0, [0, 1])
    await asking
    rig.put(2, [2, 3])
    assert offsets(await rig.source.next(2)) == [2, 3]
    assert not event.acked


async def test_a_batch_ahead_takes_in_what_arrives_until_the_range_before_it_is_done() -> None:
    rig, asking = await begun()
    rig.put(0, [0, 1])
    await asking
    rig.put(2, [2])
    ahead = await rig.asked(2)
    rig.put(3, [3, 4])
    await asyncio.sleep(2 * IDLE_S)
    assert not ahead.done()
    rig.source.done(1)
    assert (offsets(await ahead), rig.seeks) == ([2, 3, 4], [0])


async def test_a_batch_ahead_that_is_full_is_given_out_at_once() -> None:
    rig, asking = await begun(limit=3)
    rig.put(0, [0, 1])
    await asking
    ahead = await rig.asked(2)
    rig.put(2, [2, 3])
    rig.put(4, [4, 5])
    assert offsets(await ahead) == [2, 3, 4]


async def test_nobody_looks_at_what_arrives_while_a_range_is_in_hand_and_the_next_is_not_full() -> None:
    rig, asking = await begun(limit=4)
    rig.put(0, [0])
    await asking
    looked: list[int] = []
    cut = rig.source._cut

    def look(place: int) -> Batch[Any] | None:
        looked.append(place)
        return cut(place)

    with patch.object(rig.source, "_cut", look):
        ahead = await rig.asked(1)
        for offset in (1, 2, 3):
            rig.put(offset, [offset])
            await asyncio.sleep(0.01)
        assert looked == [1]
        rig.put(4, [4])
        assert offsets(await ahead) == [1, 2, 3, 4]


async def test_idle_time_begins_when_the_range_in_hand_is_done() -> None:
    rig, asking = await begun()
    rig.put(0, [0])
    await asking
    ahead = await rig.asked(1)
    await asyncio.sleep(2 * IDLE_S)
    rig.source.done(0)
    await asyncio.sleep(IDLE_S / 2)
    assert not ahead.done()
    assert await ahead is None


async def test_the_same_place_again_gives_the_same_records_without_a_seek() -> None:
    rig, asking = await begun()
    rig.put(0, [0, 1, 2])
    assert offsets(await asking) == offsets(await rig.source.next(0))
    assert rig.seeks == [0]


async def test_another_place_seeks_and_what_was_queued_before_is_void() -> None:
    rig, asking = await begun(50)
    stale = rig.put(50, [50, 51])
    await asking
    back = await rig.asked(20)
    rig.put(52, [52], epoch=1)
    rig.put(20, [20, 21])
    assert (offsets(await back), rig.seeks, stale.acked) == ([20, 21], [50, 20], False)


async def test_idle_is_none_and_no_seek() -> None:
    rig, asking = await begun()
    assert await asking is None
    assert await rig.source.next(0) is None
    assert rig.seeks == [0]


async def test_a_cancelled_question_leaves_its_records_for_the_next() -> None:
    rig, asking = await begun()
    asking.cancel()
    rig.put(0, [0])
    assert offsets(await rig.source.next(0)) == [0]


async def test_a_question_cancelled_within_its_seek_is_followed_by_another_seek() -> None:
    rig = Rig()
    asking = asyncio.create_task(rig.source.next(7))
    await asyncio.sleep(0)
    asking.cancel()
    again = await rig.asked(7)
    rig.put(7, [7])
    assert offsets(await again) == [7]


async def test_a_place_before_the_logs_start_stops_the_worker_and_names_the_remedy() -> None:
    rig, asking = await begun(5, log=Log(start=100))
    rig.put(100, [100])
    with pytest.raises(Stop, match=r"100.*headrace state rebuild"):
        await asking


async def test_a_place_beyond_the_logs_end_stops_the_worker_and_names_the_remedy() -> None:
    rig, asking = await begun(5_000, log=Log(end=10))
    rig.put(0, [0, 1])
    with pytest.raises(Stop, match=r"10.*headrace state rebase orders"):
        await asking


async def test_a_jump_within_the_log_is_sought_again() -> None:
    rig, asking = await begun(5)
    rig.put(9, [9])
    assert await asking is None
    rig.put(5, [5])
    assert (offsets(await rig.source.next(5)), rig.seeks) == ([5], [5, 5])


async def test_an_open_range_is_read_beside_the_queue() -> None:
    rig = Rig()
    batch = await rig.source.read(3, 6)
    assert (batch and batch.first, offsets(batch)) == (3, [3, 4, 5, 6])
    assert await Rig(log=Log(start=10)).source.read(3, 6) is None


class TestRest:
    """A pause is over when what was given out is published and the driver waits for more."""

    async def resting(self, rig: Rig) -> bool:
        try:
            await asyncio.wait_for(rig.source.rest(), 0.05)
        except TimeoutError:
            return False
        return True

    async def test_an_idle_driver_is_at_rest_at_once_and_is_given_nothing(self) -> None:
        rig, asking = await begun()
        rig.source.pause()
        assert await self.resting(rig)
        rig.put(0, [0])
        assert await self.resting(rig)
        await asyncio.sleep(2 * IDLE_S)
        assert not asking.done()
        asking.cancel()

    async def test_a_range_in_hand_is_waited_for(self) -> None:
        rig, asking = await begun()
        rig.put(0, [0, 1])
        await asking
        ahead = await rig.asked(2)
        rig.source.pause()
        assert not await self.resting(rig)
        rig.source.done(1)
        assert await self.resting(rig)
        ahead.cancel()

    async def test_a_range_that_was_open_before_is_waited_for(self) -> None:
        rig = Rig()
        rig.source.hold(4)
        ahead = await rig.asked(5)
        rig.source.pause()
        assert not await self.resting(rig)
        rig.source.done(4)
        assert await self.resting(rig)
        ahead.cancel()

    async def test_an_open_range_that_is_met_after_an_idle_time_is_waited_for(self) -> None:
        rig, asking = await begun()
        assert await asking is None
        rig.source.hold(4)
        ahead = await rig.asked(5)
        rig.source.pause()
        assert not await self.resting(rig)
        ahead.cancel()

    async def test_a_batch_ahead_is_waited_for_whatever_is_read_beside_it(self) -> None:
        rig, asking = await begun(limit=2)
        rig.put(0, [0, 1])
        await asking
        rig.put(2, [2, 3])
        assert offsets(await rig.source.next(2)) == [2, 3]
        await rig.source.read(0, 0)  # a shard is caught up to where the range begins
        rig.source.done(1)
        ahead = await rig.asked(4)
        rig.source.pause()
        assert not await self.resting(rig)
        ahead.cancel()

    async def test_what_is_only_read_is_waited_for_by_nobody(self) -> None:
        rig, asking = await begun()
        await rig.source.read(0, 4)
        rig.source.pause()
        assert await self.resting(rig)
        asking.cancel()

    async def test_a_batch_that_was_given_back_is_not(self) -> None:
        rig, asking = await begun()
        rig.put(0, [0, 1])
        await asking
        rig.source.pause()
        again = await rig.asked(0)
        assert await self.resting(rig)
        again.cancel()

    async def test_after_the_pause_it_goes_on_from_its_place_with_a_seek(self) -> None:
        rig, asking = await begun()
        rig.source.pause()
        await asyncio.sleep(0.01)
        rig.source.resume()
        while len(rig.seeks) < 2:  # noqa: ASYNC110  a test may poll
            await asyncio.sleep(0)
        rig.put(0, [0])
        assert (offsets(await asking), rig.seeks) == ([0], [0, 0])


async def test_records_that_are_quicker_than_the_answer_to_a_seek_are_not_lost() -> None:
    """The consumer reads on at once, and may deliver before the driver's turn comes: nobody would send them again."""
    rig = Rig()
    plain = rig.rewind

    async def quick(place: int) -> int:
        epoch = await plain(place)
        rig.put(place - 5, range(place - 5, place), epoch=epoch - 1)  # of before the seek
        rig.put(place, range(place, place + 3))
        await asyncio.sleep(0)
        return epoch

    rig.source._rewind = quick
    batch = await asyncio.wait_for(rig.source.next(20), IDLE_S * 4)
    assert batch is not None
    assert [record.offset for record in batch.records] == [20, 21, 22]
