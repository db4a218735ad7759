"""Ending a foreground process by a signal as if by an exception, so that every `with` is left and tidies up.

SIGINT, SIGTERM and SIGHUP raise `Ended` in the main thread, once; a second one while things are being put away is
ignored. The price: it can be raised anywhere. What was being started at that very moment is ended by the nets of
`processes.py`.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """The user, the system or the terminal has told us to end. asyncio swallows any other kind in a callback."""


def ignore_signals() -> None:
    """From now on the three change nothing: what is under way ends by itself."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)


def stop_on_signals(stop: asyncio.Event) -> None:
    """Within a running loop: the three set `stop` instead of raising; when the loop ends, so does that."""
    for number in NUMBERS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


def _end(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the signature of a handler
    ignore_signals()
    raise Ended(signal.Signals(number).name)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within it the three signals raise Ended; leaving it by Ended is a normal end, after which they stay ignored."""
    before = {number: signal.signal(number, _end) for number in NUMBERS}
    try:
        yield
    except Ended:
        return
    finally:
        if signal.getsignal(signal.SIGTERM) is _end:
            for number, handler in before.items():
                signal.signal(number, handler)
