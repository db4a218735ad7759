"""How far a replay is: a bar on a terminal, a plain line every few seconds in a pipe. Always on standard error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from schemas.timestamps import rfc3339
from streams.data.replay import Meter

LINE_EVERY_S = 5.0
Span = tuple[int, int] | None


@contextmanager
def meter(name: str, span_ms: Span, stream: TextIO) -> Iterator[Meter]:
    """The meter that suits the stream; `span_ms` is what the replay will cover, None where nobody knows."""
    if not stream.isatty():
        yield Lines(name, span_ms, stream)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[at]}  {task.fields[sent]:,} records  {task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as progress:
        yield Bar(progress, name, span_ms)


class Lines:
    """A line every LINE_EVERY_S."""

    def __init__(self, name: str, span_ms: Span, stream: TextIO, every_s: float = LINE_EVERY_S) -> None:
        self._name, self._span_ms, self._stream, self._every_s = name, span_ms, stream, every_s
        self._began_s = self._told_s = time.monotonic()

    def moved(self, at_ms: int, sent: int) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s < self._every_s:
            return
        self._told_s = now_s
        share = "" if self._span_ms is None else f" {_share(at_ms, self._span_ms):5.1%}"
        rate = sent / (now_s - self._began_s)
        print(f"{self._name}:{share} {rfc3339(at_ms)} {sent:,} records {rate:,.0f}/s", file=self._stream, flush=True)


class Bar:
    """A rich progress bar over event time."""

    def __init__(self, progress: Progress, name: str, span_ms: Span) -> None:
        self._progress, self._span_ms = progress, span_ms
        self._began_s = time.monotonic()
        total = None if span_ms is None else 1.0
        self._task = progress.add_task(name, total=total, at="", sent=0, rate=0.0)

    def moved(self, at_ms: int, sent: int) -> None:
        share = 0.0 if self._span_ms is None else _share(at_ms, self._span_ms)
        rate = sent / max(1e-3, time.monotonic() - self._began_s)
        self._progress.update(self._task, completed=share, at=rfc3339(at_ms)[:16], sent=sent, rate=rate)


def _share(at_ms: int, span_ms: tuple[int, int]) -> float:
    first_ms, last_ms = span_ms
    return min(1.0, max(0.0, (at_ms - first_ms) / max(1, last_ms - first_ms)))
