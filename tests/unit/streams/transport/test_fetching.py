"""The rest between fetches, in aiokafka's own loop."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import Fetcher  # type: ignore[import-untyped]  # it has no types

from streams.transport import fetching
from streams.transport.aio import TopicPartition

TP = TopicPartition("orders", 0)
turn = asyncio.sleep


def fetcher_of_one_node() -> Any:
    """aiokafka's, over a broker that has a record for every fetch."""
    assignment = SimpleNamespace(active=True, unassign_future=asyncio.get_running_loop().create_future())
    fetcher: Any = Fetcher.__new__(Fetcher)
    fetcher._pending_tasks, fetcher._in_flight, fetcher._fetch_waiters, fetcher._records = set(), set(), set(), {}
    fetcher._subscriptions = SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
    fetcher._fetch_task = None

    def actions(_: Any) -> Any:
        free = TP not in fetcher._records and 0 not in fetcher._in_flight
        return [(0, None)] if free else [], {}, 60.0, False, []

    async def fetch(*_: Any) -> bool:
        await turn(0)
        fetcher._records[TP] = object()
        return True

    fetcher._get_actions_per_node, fetcher._proc_fetch_request = actions, fetch
    return fetcher


async def take(fetcher: Any) -> None:
    """Takes a record as soon as its fetch says that there is one."""
    waiter = asyncio.get_running_loop().create_future()
    fetcher._fetch_waiters.add(waiter)
    await waiter
    fetcher._fetch_waiters.discard(waiter)
    del fetcher._records[TP]
    fetcher._notify(fetcher._wait_consume_future)


@pytest.mark.parametrize("in_flight", [set(), {0}, {1}])
async def test_records_that_are_taken_while_their_node_is_asked_let_nobody_look_for_what_to_fetch(
    in_flight: set[int],
) -> None:
    fetcher = fetcher_of_one_node()
    fetcher._wait_consume_future = asyncio.get_running_loop().create_future()
    fetcher._records[TP] = SimpleNamespace(check_raise=lambda: None)
    fetcher._select_read_replica, fetcher._in_flight = lambda _: 0, in_flight
    thread: Any = SimpleNamespace(_wanted={TP}, _epochs={})
    assert fetching.BatchConsumerThread._drain(thread, fetcher) == {}
    assert fetcher._wait_consume_future.done() == (0 not in in_flight)


@pytest.mark.parametrize("turns", range(6))
async def test_the_next_fetch_follows_in_whatever_moment_the_records_are_taken(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def rest(_: float) -> None:
        for _turn in range(turns):
            await turn(0)

    monkeypatch.setattr(asyncio, "sleep", rest)
    fetcher = fetcher_of_one_node()
    fetcher._proc_fetch_request = fetching._resting(fetcher)
    fetching_on = asyncio.create_task(fetcher._fetch_requests_routine())
    async with asyncio.timeout(5):
        for _ in range(3):
            await take(fetcher)
    fetching_on.cancel()
    with suppress(asyncio.CancelledError):
        await fetching_on
