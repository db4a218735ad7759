"""Processes in the foreground: from a coroutine to an exit code, told to end by SIGTERM or SIGINT.

Exit codes: 0 a clean stop, 1 it broke (start it again), 2 it must stop and says why.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from schemas.settings import Settings
from streams.protocol.ports import SinkDown, Stop
from streams.transport.admission import not_permitted
from streams.transport.aio import AIOKafkaConsumer
from streams.transport.link import Link
from streams.transport.profile import Profile

log = logging.getLogger("headrace")

CLEAN, BROKE, MUST_STOP = 0, 1, 2
END_WITHIN_S = 25.0  # who asks by SIGTERM commonly waits 30 s and then kills, which leaves no word in the log
Errors = tuple[type[Exception], ...]
NO_WORDS: Final[Mapping[type[Exception], str]] = {}


def exit_code(
    who: str,
    run: Callable[[], None],
    *,
    stops: Errors = (),
    downs: Errors = (),
    ends: Mapping[type[Exception], str] = NO_WORDS,
) -> int:
    """Runs and tells what it ended by. Beside Stop and SinkDown: `stops` are for people to mend, `downs` are
    dependencies that do not answer, and `ends`, each with what the log says of it, are for a start to mend.
    """
    must_stop: Errors = (Stop, *stops)
    away: Errors = (SinkDown, *downs)
    try:
        run()
    except must_stop as stop:
        log.critical("the %s must stop: %s", who, stop)
        return MUST_STOP
    except away as down:
        log.critical("the %s could not start: %s", who, down)
        return BROKE
    except Exception as error:
        if said := next((said for kind, said in ends.items() if isinstance(error, kind)), ""):
            log.critical("the %s %s: %s", who, said, error)
            return BROKE
        if why := not_permitted(error):  # a permission that was taken away while it ran
            log.critical("the %s must stop: %s", who, why)
            return MUST_STOP
        log.critical("the %s broke", who, exc_info=True)
        return BROKE
    return CLEAN


def told_to_end(within_s: float = END_WITHIN_S) -> asyncio.Event:
    """Set once somebody asks the process to end; it has so long for it, then it ends as if killed."""
    stopping = asyncio.Event()

    def told() -> None:
        if not stopping.is_set():
            stopping.set()
            last_resort = threading.Timer(within_s, _end_now, (within_s,))
            last_resort.daemon = True
            last_resort.start()

    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, told)
    return stopping


def _end_now(within_s: float) -> None:
    """Whatever hangs: nothing of ours is lost by a kill, and a process that hangs holds its partitions."""
    log.critical("not ended within %.0f s of being told to: ended now, where it stands", within_s)
    faulthandler.dump_traceback()
    os._exit(BROKE)


async def until_first(*works: Coroutine[Any, Any, None]) -> None:
    """Until one of them ends; raises what it ended by."""
    await _ended(works, asyncio.FIRST_COMPLETED)


async def until_all(*works: Coroutine[Any, Any, None]) -> None:
    """Until each has ended, or one has broken: raises what it broke by."""
    await _ended(works, asyncio.FIRST_EXCEPTION)


async def _ended(works: Sequence[Coroutine[Any, Any, None]], when: str) -> None:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=when)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def member(settings: Settings, profile: Profile, group: str, client_id: str, **more: Any) -> AIOKafkaConsumer:
    """A consumer in a group of its own, that commits and finds its place by itself; not started."""
    return AIOKafkaConsumer(
        **Link.of(settings.kafka).client(),
        client_id=client_id,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        session_timeout_ms=profile.session_timeout_ms,
        heartbeat_interval_ms=profile.heartbeat_ms,
        rebalance_timeout_ms=profile.rebalance_timeout_ms,
        request_timeout_ms=settings.kafka.request_timeout_ms,
        **more,
    )
