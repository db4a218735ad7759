"""What a replay reads: events of several topics in time order, from recorded data that the user has.

Data is never part of the project and never guessed at: a folder is named by `--data` or HEADRACE_DATA, and what is
absent is an error that says where it was looked for. An adapter turns one data set's columns into events; it knows
neither Kafka nor the clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

from schemas.cloudevents import headers_of
from streams.data.record import Record, key_of

EVER_MS = 2**62


class DataError(Exception):
    """The data cannot be replayed as asked; the message names the thing, its value and the remedy."""


@dataclass(frozen=True, slots=True)
class Window:
    """Event times from `since_ms` on, before `until_ms`."""

    since_ms: int = -EVER_MS
    until_ms: int = EVER_MS

    def holds(self, at_ms: int) -> bool:
        return self.since_ms <= at_ms < self.until_ms

    def within(self, span_ms: tuple[int, int] | None) -> tuple[int, int] | None:
        """The part of a data set's span that the window shows; None where the span is unknown."""
        if span_ms is None:
            return None
        return max(self.since_ms, span_ms[0]), min(self.until_ms, span_ms[1])


class Dataset(Protocol):
    """Recorded events. Every record's timestamp is its event's time; no record of the past follows one of later."""

    @property
    def name(self) -> str: ...

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic that it has events for."""
        ...

    @property
    def span_ms(self) -> tuple[int, int] | None:
        """The first and the last event time; None where it is not known beforehand."""
        ...

    def records(self, window: Window) -> Iterator[Record]:
        """The events within the window, by time."""
        ...


def record_of(topic: str, event: dict[str, Any], at_ms: int, source: str) -> Record:
    """An event as a record: keyed, with CloudEvents headers, dated by its own time."""
    return Record(topic, key_of(event), orjson.dumps(event), headers_of(event, source), at_ms)


def data_file(folder: Path | None, name: str) -> Path:
    """A file of a data folder; raises DataError that says where it should be."""
    if folder is None:
        raise DataError(f"{name}: where is the data? Name its folder with --data DIR or HEADRACE_DATA")
    path = folder / name
    if not path.is_file():
        raise DataError(f"{path}: no such file; --data (or HEADRACE_DATA) names the folder that holds {name}")
    return path


def parquet() -> Any:
    """pyarrow.parquet, which only the `history` extra installs."""
    try:
        import pyarrow.parquet  # type: ignore[import-untyped]  # it ships no types
    except ImportError:
        raise DataError("reading Parquet needs pyarrow: pip install 'headrace[history]'") from None
    return pyarrow.parquet
