"""Events are sent once each, in their order, in bursts and in a flow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from streams.chaos.feed import Feed
from streams.data.record import Record


class Sent:
    """A sender that notes."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.flushes = 0

    async def send(self, records: Sequence[Record]) -> None:
        self.records += records

    async def dispatch(self) -> None: ...

    async def flush(self) -> None:
        self.flushes += 1


EVENTS = [Record("orders", b"k", b"%d" % number) for number in range(5000)]


async def test_a_burst_sends_so_many_and_waits_for_them() -> None:
    sent = Sent()
    feed = Feed(sent, iter(EVENTS))
    await feed.burst(2500)
    assert sent.records == EVENTS[:2500]
    assert sent.flushes == 1


async def test_the_rest_is_sent_to_the_last() -> None:
    sent = Sent()
    feed = Feed(sent, iter(EVENTS))
    await feed.burst(7)
    await feed.rest()
    assert sent.records == EVENTS
    assert (feed.sent, feed.exhausted) == (5000, True)


async def test_flow_and_bursts_take_turns_and_lose_nothing() -> None:
    sent = Sent()
    feed = Feed(sent, iter(EVENTS))
    flow = asyncio.create_task(feed.flow(2000.0))
    while not feed.sent:  # noqa: ASYNC110  a test may poll
        await asyncio.sleep(0)
    flowed = feed.sent
    await feed.burst(2000)
    flow.cancel()
    await feed.rest()
    assert flowed <= 2000, "a second's, however late its turn came"
    assert sent.records == EVENTS
