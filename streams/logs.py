"""Logs: one line for each change of state, never one per event, never card or person data.

The libraries below log once a second and partition while a broker is away, and Faust builds debug records even where
nobody reads them, so their loggers are held at ERROR and each message of theirs passes at most once in ten seconds.
"""

from __future__ import annotations

import logging
import sys
import time

LIBRARIES = ("aiokafka", "asyncio", "mode", "faust", "kafka")
SERVICE = "[^"  # how Faust's services begin a line about themselves
ONCE_IN_S = 10.0
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class Fields(logging.Formatter):
    """`time level message key=value ...`: the fields are what was given as `extra`."""

    def __init__(self, slot: int | None) -> None:
        who = "worker" if slot is None else f"worker-{slot}"
        super().__init__(f"%(asctime)s {who} %(levelname)s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        extra = {name: value for name, value in record.__dict__.items() if name not in _OWN}
        return text + "".join(f" {name}={value}" for name, value in extra.items())


class Seldom(logging.Filter):
    """Lets a message of one logger pass once in a while."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key, now = (record.name, str(record.msg)), time.monotonic()
        if now - self._last.get(key, -ONCE_IN_S) < ONCE_IN_S:
            return False
        if len(self._last) > 1_000:
            self._last.clear()
        self._last[key] = now
        return True


def configure(slot: int | None) -> None:
    """Sends our log lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Fields(slot))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)
    handler.addFilter(_passes)


def _passes(record: logging.LogRecord) -> bool:
    """Drops what a service of Faust's says of itself under our modules' names, and holds back the libraries."""
    if str(record.msg).startswith(SERVICE) and record.levelno < logging.ERROR:
        return False
    return not record.name.startswith(LIBRARIES) or _SELDOM.filter(record)


_SELDOM = Seldom()
