"""A producer of ours: what aiokafka leaves behind when it gives batches up."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import ProducerClosed  # type: ignore[import-untyped]  # it ships no types

from streams.transport.aio import TopicPartition
from streams.transport.link import Link
from streams.transport.profile import KAFKA
from streams.transport.publisher import new_producer


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
