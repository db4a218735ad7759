"""The batch consumer without a broker: batches cut from fetches, room per partition, and what may be committed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from faust.types import TP, ConsumerMessage, Message

from streams.transport.aio import READ_COMMITTED
from streams.transport.app import App, make_app
from streams.transport.consumer import BatchConsumer, Delivery
from streams.transport.fetching import Buffers
from streams.transport.link import Link
from streams.transport.profile import EMBEDDED, KAFKA
from streams.transport.records import Fetched, unread
from tests.unit.streams.transport.batches import batch, marker

TPS = A, B = TP("orders", 0), TP("orders", 1)


def app_of(**options: Any) -> App:
    return make_app("group", Link("127.0.0.1:1"), KAFKA, buffers=Buffers(batch=3, in_hand=6), **options)


@contextmanager
def consumer_of(app: App) -> Iterator[BatchConsumer]:
    """The app's consumer, never started: its thread's loop is the one thing to close."""
    app.topics._acking_topics.add("orders")  # type: ignore[attr-defined] # no agent has subscribed
    consumer = cast(BatchConsumer, app.consumer)
    try:
        yield consumer
    finally:
        consumer._thread.thread_loop.close()


@pytest.fixture
async def consumer() -> AsyncIterator[BatchConsumer]:
    with consumer_of(app_of()) as unstarted:
        yield unstarted


def take_in(consumer: BatchConsumer, tp: TP, raw: bytes, at: int, *, epoch: int = 0) -> None:
    part = Fetched(unread(raw, tp.topic, tp.partition, at, None, READ_COMMITTED), epoch)
    consumer._take_in({tp: part})


def cut(consumer: BatchConsumer, tp: TP = A) -> Delivery:
    message = consumer._cut(tp)
    assert message is not None
    return cast(Delivery, message.value)


async def nobody(message: Message) -> None: ...


async def given(consumer: BatchConsumer, tp: TP = A) -> ConsumerMessage:
    """A batch delivered to nobody in particular."""

    consumer.callback = nobody
    message = consumer._cut(tp)
    assert message is not None
    consumer.app.flow_control.resume()
    assert await consumer._deliver(tp, message)
    return message


def offsets(delivery: Delivery) -> tuple[int, list[int]]:
    return delivery.first, [record.offset for record in delivery.records]


async def test_a_fetch_is_cut_into_batches_that_follow_each_other(consumer: BatchConsumer) -> None:
    take_in(consumer, A, batch(10, [b"v"] * 4), 10)
    assert [offsets(cut(consumer)), offsets(cut(consumer))] == [(10, [10, 11, 12]), (13, [13])]
    take_in(consumer, A, batch(14, [b"v"]), 14)
    assert offsets(cut(consumer)) == (14, [14])


async def test_holes_and_markers_belong_to_the_batch_after_them(consumer: BatchConsumer) -> None:
    take_in(consumer, A, batch(0, [b"v"] * 3, holes=[2]), 0)
    assert offsets(cut(consumer)) == (0, [0, 1])
    take_in(consumer, A, marker(3, 7, commit=True), 3)
    take_in(consumer, A, batch(4, [b"v"]), 4)
    assert offsets(cut(consumer)) == (2, [4])


async def test_a_jump_of_the_log_shows(consumer: BatchConsumer) -> None:
    take_in(consumer, A, batch(0, [b"v"]), 0)
    cut(consumer)
    take_in(consumer, A, batch(50, [b"v"]), 50)
    assert offsets(cut(consumer)) == (50, [50])


async def test_what_was_fetched_before_a_seek_is_dropped(consumer: BatchConsumer) -> None:
    consumer._epoch[A] = 2
    take_in(consumer, A, batch(0, [b"v"]), 0, epoch=1)
    assert A not in consumer._rest
    take_in(consumer, A, batch(7, [b"v"]), 7, epoch=2)
    assert (offsets(cut(consumer))[0]) == 7


async def test_a_fetch_that_outlives_a_rebalance_loses_nothing(consumer: BatchConsumer) -> None:
    fetching: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    consumer._fetching = fetching  # begun in the generation before, drained after the seek of this one
    consumer.app.consumer_generation_id = 7
    consumer._epoch[A] = 3
    fetching.set_result({A: Fetched(unread(batch(5, [b"v"]), A.topic, A.partition, 5, None, READ_COMMITTED), epoch=3)})
    await consumer._fetch_or_room(0.1)
    assert offsets(cut(consumer)) == (5, [5])


async def test_only_the_run_from_the_oldest_batch_on_is_committed(consumer: BatchConsumer) -> None:
    take_in(consumer, A, batch(0, [b"v"] * 6), 0)
    first, second = await given(consumer), await given(consumer)
    consumer.ack(second)
    assert consumer._new_offset(A) is None
    consumer.ack(first)
    assert consumer._new_offset(A) == 6


async def test_what_was_acknowledged_is_not_remembered_for_ever(consumer: BatchConsumer) -> None:
    """Faust notes every acknowledged offset in a list as well, which only its own way of committing empties."""
    for at in range(50):
        take_in(consumer, A, batch(at, [b"v"]), at)
        (await given(consumer)).ack(consumer)
        assert consumer._new_offset(A) == at + 1
    assert not consumer._acked[A]
    assert not consumer._acked_index[A]


async def test_in_exactly_once_nothing_is_committed_aside() -> None:
    with consumer_of(app_of(commits=False)) as consumer:
        take_in(consumer, A, batch(0, [b"v"]), 0)
        consumer.ack(await given(consumer))
        assert consumer._new_offset(A) is None


async def test_a_partition_is_full_alone_and_has_room_again_when_its_oldest_batch_is_done(
    consumer: BatchConsumer,
) -> None:
    for tp in TPS:
        take_in(consumer, tp, batch(0, [b"v"] * 9), 0)
    first = await given(consumer)
    assert consumer._has_room(A)
    second = await given(consumer)
    assert (consumer._has_room(A), consumer._has_room(B)) == (False, True)
    consumer.ack(second)
    assert not consumer._has_room(A)
    consumer.ack(first)
    assert consumer._has_room(A)


async def test_batches_come_round_robin_over_the_partitions_that_have_room(consumer: BatchConsumer) -> None:
    for tp in TPS:
        take_in(consumer, tp, batch(0, [b"v"] * 9), 0)
    came = [(tp, message.offset) async for tp, message in _given_out(consumer)]
    assert came == [(A, 2), (B, 2), (A, 5), (B, 5)]


async def _given_out(consumer: BatchConsumer) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
    consumer.callback = nobody
    consumer.app.flow_control.resume()
    async for tp, message in consumer.getmany(0.1):
        yield tp, message
        assert await consumer._deliver(tp, message)


async def test_while_the_flow_is_stopped_nothing_is_given_out_and_nothing_lost(consumer: BatchConsumer) -> None:
    take_in(consumer, A, batch(0, [b"v"] * 6), 0)
    came = []
    async for _, message in _given_out(consumer):
        came.append(message.offset)
        consumer.flow_active = False
    assert came == [2]
    assert offsets(cut(consumer)) == (3, [3, 4, 5])


async def test_acknowledgements_below_a_committed_offset_count_after_a_rewind(consumer: BatchConsumer) -> None:
    async def move(tp: TP, offset: int) -> int:
        assert (tp, offset) == (A, 50)
        return 1

    consumer._thread.move = move  # type: ignore[method-assign] # no broker
    consumer._committed_offset[A] = 100
    assert await consumer.rewind(A, 50) == 1
    take_in(consumer, A, batch(50, [b"v"]), 50, epoch=1)
    consumer.ack(await given(consumer))
    assert consumer._new_offset(A) == 51


async def test_a_slot_is_a_static_member_where_the_broker_has_them() -> None:
    def instance(app: App) -> object:
        return app.conf.consumer_group_instance_id

    assert instance(make_app("g", Link("b:1"), KAFKA, slot=3)) == "g-3"
    assert instance(make_app("g", Link("b:1"), KAFKA)) is None
    assert instance(make_app("g", Link("b:1"), EMBEDDED, slot=3)) is None


async def test_a_batch_topics_queue_is_bounded() -> None:
    topic = app_of().batches("orders")
    channel = topic.clone(is_iterator=True)
    assert 0 < cast(Any, channel).queue.maxsize <= 256
