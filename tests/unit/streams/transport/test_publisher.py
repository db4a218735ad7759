"""A producer of ours: what aiokafka leaves behind when it gives batches up."""

import asyncio
import gc
from typing import Any

import pytest
from aiokafka.errors import ProducerClosed  # type: ignore[import-untyped]  # it ships no types

from streams.transport.aio import TopicPartition
from streams.transport.link import Link
from streams.transport.output import Output
from streams.transport.profile import KAFKA
from streams.transport.publisher import deliver, new_producer


async def test_a_batch_that_fails_while_it_waits_for_another_try_ends_in_silence() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    producer = new_producer(Link("127.0.0.1:1"), KAFKA)
    producer._txn_manager.set_pid_and_epoch(1, 0)
    accumulator, tp = producer._message_accumulator, TopicPartition("orders", 0)
    builder = accumulator.create_builder()
    builder.append(timestamp=None, key=None, value=b"v")
    sent = await accumulator.add_batch(builder, tp, 1)
    accumulator.reenqueue(accumulator._pop_batch(tp))
    accumulator.fail_all(ProducerClosed())  # as aiokafka does when its sender dies
    with pytest.raises(ProducerClosed):
        await sent
    await asyncio.sleep(0)
    producer._closed = True
    assert complaints == []


class Held:
    """A producer whose acknowledgements come when the test says so."""

    def __init__(self) -> None:
        self.sent: list[asyncio.Future[int]] = []
        never_started = new_producer(Link("127.0.0.1:1"), KAFKA)
        never_started._closed = True
        self.create_batch = never_started.create_batch

    async def partitions_for(self, _: str) -> set[int]:
        return {0, 1, 2}

    async def send_batch(self, *_: Any, **__: Any) -> "asyncio.Future[int]":
        self.sent.append(asyncio.get_running_loop().create_future())
        return self.sent[-1]


async def delivering() -> "tuple[Held, asyncio.Task[None]]":
    held, outputs = Held(), [Output("fraud", b"k", b"v", partition=partition) for partition in range(3)]
    task = asyncio.create_task(deliver(held, outputs))
    await asyncio.sleep(0.01)
    return held, task


async def test_the_first_error_is_raised_when_every_acknowledgement_has_ended() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    held, task = await delivering()
    held.sent[2].set_exception(ValueError("the third"))
    held.sent[1].set_exception(KeyError("the second"))
    await asyncio.sleep(0.01)
    assert not task.done()
    held.sent[0].set_result(7)
    with pytest.raises(KeyError, match="the second"):
        await task
    held.sent.clear()
    del task
    gc.collect()
    assert complaints == []


async def test_who_gives_up_waiting_takes_nothing_back_and_what_fails_then_is_nobodys_complaint() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    held, task = await delivering()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(one.done() for one in held.sent)
    for one in held.sent:
        one.set_exception(ProducerClosed())
    await asyncio.sleep(0)
    held.sent.clear()
    del one
    gc.collect()
    assert complaints == []
