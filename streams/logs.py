"""Logs: one line for each change of state, never one per event, never card or person data.

What the libraries say is held back by transport/quiet.py.
"""

from __future__ import annotations

import logging
import sys

from streams.transport.quiet import quieten

SERVICE = "[^"  # how Faust's services begin a line about themselves
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class Fields(logging.Formatter):
    """`time level message key=value ...`: the fields are what was given as `extra`."""

    def __init__(self, who: str) -> None:
        super().__init__(f"%(asctime)s {who} %(levelname)s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        extra = {name: value for name, value in record.__dict__.items() if name not in _OWN}
        return text + "".join(f" {name}={value}" for name, value in extra.items())


def configure(slot: int | None = None, name: str = "worker") -> None:
    """Sends our log lines to standard error, each with who says it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Fields(name if slot is None else f"{name}-{slot}"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    handler.addFilter(_ours)
    quieten()


def _ours(record: logging.LogRecord) -> bool:
    """Drops what a service of Faust's says of itself under our modules' names."""
    return not str(record.msg).startswith(SERVICE) or record.levelno >= logging.ERROR
