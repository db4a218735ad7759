"""Runs the app in the foreground until it is told to stop or something breaks.

Faust's own `Worker` owns the event loop, the signals and the logging of its process; ours has them already, and a
broken worker must exit non-zero whatever hangs, so that its supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from streams.transport.app import App
from streams.transport.partitions import PartitionTasks

log = logging.getLogger(__name__)

STOP_WITHIN_S = 10.0

Watch = Callable[[], Coroutine[Any, Any, None]]


async def serve(
    app: App,
    tasks: PartitionTasks,
    stopping: asyncio.Event,
    *,
    watches: Sequence[Watch] = (),
    stop_within_s: float = STOP_WITHIN_S,
) -> None:
    """Returns after a stop in good order; raises what broke the app, or what one of `watches` found.

    `tasks` is attached. The watches look at the app and end before it does.
    """
    waits = (stopping.wait(), tasks.failed.wait(), app.wait_until_stopped())
    ends: list[asyncio.Task[Any]] = [asyncio.create_task(wait) for wait in waits]
    watching = [asyncio.create_task(watch()) for watch in watches]
    starting = asyncio.create_task(_start(app))
    try:
        await asyncio.wait([*ends, *watching, starting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        seen = await _end(watching)
        await _stop(app, tasks, stop_within_s)
        ended = [*seen, *await _end([starting, *ends])]
    for error in (tasks.failure, app.crash_reason, *ended):
        if isinstance(error, Exception):
            raise error


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> list[Any]:
    """Cancels those that still run; what each came to."""
    for task in tasks:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def _start(app: App) -> None:
    """Ends only by an exception: an app that has started is no reason to stop it."""
    await app.start()
    await asyncio.Event().wait()


async def _stop(app: App, tasks: PartitionTasks, within_s: float) -> None:
    """Finishes what is in hand, commits, leaves; what hangs is left behind, for the process is about to end.

    Not `asyncio.timeout`: Faust's services pass over being cancelled, and go on with the next thing to stop.
    """
    for what, stop in (("app", app.stop), ("partitions", tasks.stop)):
        stopping = asyncio.create_task(stop())
        _, late = await asyncio.wait([stopping], timeout=within_s)
        if late:
            stopping.cancel()
            log.error("not stopped in time", extra={"what": what, "within_s": within_s})
        else:
            stopping.result()
