"""Work that may hang, such as a request to a registry, in a thread that holds nobody up.

A pool's threads are waited for when the process ends, for as long as a server that does not answer likes. A thread of
its own, made for each piece of work and never joined, costs 50 us and ends with the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def aside(work: Callable[[], T]) -> T:
    """What the work comes to, or what it raises; who is cancelled leaves it to itself."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def tell(settle: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if ended.done() else settle())

    def run() -> None:
        try:
            found = work()
        except Exception as error:
            failure = error
            tell(lambda: ended.set_exception(failure))
        else:
            tell(lambda: ended.set_result(found))

    threading.Thread(target=run, name="aside", daemon=True).start()
    return await ended
