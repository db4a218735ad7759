"""Serving: an app that hangs while it stops holds up its process for a moment and no longer."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from mode import Service

from streams.transport.serve import serve

WITHIN_S = 0.2


class Hangs(Service):
    """A service that never has stopped, and passes over being cancelled as Faust's do."""

    async def on_stop(self) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if self.released:
                    raise

    released = False


class Shop(Service):
    """What `serve` asks of an app, with a child that hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.child = self.add_dependency(Hangs())


class NoPartitions:
    failure: BaseException | None = None

    def __init__(self) -> None:
        self.failed = asyncio.Event()
        self.stopped = False

    async def stop(self) -> None:
        self.stopped = True


async def test_a_service_that_hangs_is_left_behind_and_the_partitions_end(caplog: pytest.LogCaptureFixture) -> None:
    shop, partitions, stopping = Shop(), NoPartitions(), asyncio.Event()
    stopping.set()
    async with asyncio.timeout(10):
        await serve(cast(Any, shop), cast(Any, partitions), stopping, stop_within_s=WITHIN_S)
    assert partitions.stopped
    assert "not stopped in time" in caplog.text
    cast(Any, shop.child).released = True
