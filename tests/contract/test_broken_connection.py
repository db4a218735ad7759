"""A connection that has just broken, under the event loop of the worker: an outage, as any other."""

import asyncio

import pytest

from streams.embedded.broker import Broker
from streams.loops import new_event_loop
from streams.transport.aio import KafkaError, create_conn
from streams.transport.requests import TopicsRequest


def test_a_write_to_a_connection_whose_end_its_reader_has_not_noticed_is_an_error_of_kafkas(tansu: Broker) -> None:
    async def broken() -> None:
        host, _, port = tansu.address.partition(":")
        connection = await create_conn(host, int(port))
        connection._read_task.cancel()
        connection._writer.transport.abort()
        await asyncio.sleep(0.01)
        with pytest.raises(KafkaError, match="No connection to broker"):
            await connection.send(TopicsRequest([]))
        assert not connection.connected()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(broken())
