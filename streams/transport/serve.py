"""Runs the app in the foreground until it is told to stop or something breaks.

Faust's own `Worker` owns the event loop, the signals and the logging of its process; ours has them already, and a
broken worker must exit non-zero whatever hangs, so that its supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from streams.transport.app import App
from streams.transport.partitions import PartitionTasks

log = logging.getLogger(__name__)

STOP_WITHIN_S = 20.0


async def serve(
    app: App, tasks: PartitionTasks, stopping: asyncio.Event, *, stop_within_s: float = STOP_WITHIN_S
) -> None:
    """Returns after a stop in good order; raises what broke the app. The app is attached to `tasks` already."""
    told = asyncio.create_task(stopping.wait())
    starting = asyncio.create_task(app.start())
    broken = asyncio.create_task(app.wait_until_stopped())
    try:
        await asyncio.wait({told, broken}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and (error := starting.exception()) is not None:
            raise error
    finally:
        await _stop(app, tasks, stop_within_s)
        for task in (told, starting, broken):
            task.cancel()
        await asyncio.gather(told, starting, broken, return_exceptions=True)
    if reason := tasks.failure or app.crash_reason:
        raise reason


async def _stop(app: App, tasks: PartitionTasks, within_s: float) -> None:
    """Finishes what is in hand, commits, leaves; what hangs is left behind, for the process is about to end."""
    try:
        async with asyncio.timeout(within_s):
            await app.stop()
    except TimeoutError:
        log.error("the app did not stop", extra={"within_s": within_s})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await tasks.stop()
