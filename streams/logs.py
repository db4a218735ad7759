"""Logs: one line for each change of state, never one per event, never card or person data.

As text for people, or as one JSON object a line for machines: time (UTC), level, process, message, and the fields that
were given as `extra`: `tp` (topic/partition), offsets, model, why. What the libraries say is held back by
transport/quiet.py.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Literal

import orjson

from streams.transport.quiet import quieten

Form = Literal["console", "json"]

SERVICE = "[^"  # how Faust's services begin a line about themselves
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class Lines(logging.Formatter):
    """`time process level message key=value ...`; times are those of this machine."""

    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s {process} %(levelname)s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text + "".join(f" {name}={value}" for name, value in _fields(record).items())


class Objects(logging.Formatter):
    """One JSON object a line; a traceback is its field `error`."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in _fields(record).items() if name not in line}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_PASSTHROUGH_DATACLASS).decode()


def configure(process: str, form: Form) -> None:
    """Sends our log lines to standard error, each with who says it (`worker-0`)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Objects(process) if form == "json" else Lines(process))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    handler.addFilter(_ours)
    quieten()


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What was given as `extra`."""
    return {name: value for name, value in record.__dict__.items() if name not in _OWN}


def _ours(record: logging.LogRecord) -> bool:
    """Drops what a service of Faust's says of itself under our modules' names."""
    return not str(record.msg).startswith(SERVICE) or record.levelno >= logging.ERROR
