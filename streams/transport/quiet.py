"""Keeps the libraries' loggers from drowning ours: errors only, and the same one only so often.

aiokafka writes 100-300 lines a second while a broker is away. Faust builds its debug records even where nobody wants
them, which costs 14 % of throughput unless its loggers' level is ERROR. A line that repeats is passed on once every
`every_s`, with the number of those held back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

LIBRARIES = ("aiokafka", "asyncio", "mode", "faust")
EVERY_S = 10.0
KINDS = 256  # of messages remembered; more than that and all are forgotten


class RateLimited(logging.Handler):
    """Passes records on to `target`, each kind of message once every `every_s`."""

    def __init__(
        self, target: logging.Logger, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._target = target
        self._every_s = every_s
        self._clock = clock
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}  # (logger, message) -> (passed at, held back since)

    def emit(self, record: logging.LogRecord) -> None:
        kind, now = (record.name, str(record.msg)), self._clock()
        passed_at, held_back = self._kinds.get(kind, (float("-inf"), 0))
        if now - passed_at < self._every_s:
            self._kinds[kind] = (passed_at, held_back + 1)
            return
        if len(self._kinds) >= KINDS:
            self._kinds.clear()
        self._kinds[kind] = (now, 0)
        if held_back:
            record.msg = f"{record.getMessage()} (and {held_back} more like it)"
            record.args = ()
        self._target.handle(record)


def quieten(libraries: Iterable[str] = LIBRARIES, *, level: int = logging.ERROR, every_s: float = EVERY_S) -> None:
    """Puts the libraries' loggers behind one rate-limited handler that passes on to the root logger."""
    handler = RateLimited(logging.getLogger(), every_s)
    for name in libraries:
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.propagate = False
        logger.handlers[:] = [handler]
