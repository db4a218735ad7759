"""Runs: a table sorted by time that need not fit into memory.

Rows are sorted some thousand at a time, written to a temporary folder, and merged. As every run is sorted, what the
next thousand rows of the whole need of it lies together. The price: the set once on disk, not compressed, and 16 bytes
a row in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from archive.arrow import pa
from features.bag import Numbers
from features.columns import Ints

RUN_ROWS: Final = 16_384
PIECE_ROWS: Final = 1_024  # of a run, that are read together


class Runs:
    """`add` in any order, then read `merged`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[Any] = []
        self._runs: list[Path] = []
        self._keys: list[tuple[Ints, Numbers]] = []

    def add(self, rows: Any) -> None:
        """Rows with columns `event_time` and `decision_id`."""
        self._held.append(rows)
        if sum(map(len, self._held)) >= RUN_ROWS:
            self._cut()

    def merged(self, at_once: int) -> Iterator[Any]:
        """All rows by event time and decision id, `at_once` at a time."""
        self._cut()
        if not self._runs:
            return
        at_ms, ids = (np.concatenate(parts) for parts in zip(*self._keys, strict=True))
        starts = np.cumsum([0, *(len(times) for times, _ in self._keys)])
        order = np.lexsort((ids, at_ms))
        for begin in range(0, len(order), at_once):
            yield _gathered(self._runs, starts, order[begin : begin + at_once])

    def _cut(self) -> None:
        if not self._held:
            return
        rows, self._held = pa.concat_tables(self._held), []
        at_ms, ids = rows.column("event_time").cast(pa.int64()).to_numpy(), _numbers(rows.column("decision_id"))
        order = np.lexsort((ids, at_ms))
        path = self._folder / f"run-{len(self._runs):05d}.arrow"
        with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, rows.schema) as into:
            into.write_table(rows.take(pa.array(order)).combine_chunks(), max_chunksize=PIECE_ROWS)
        self._runs.append(path)
        self._keys.append((at_ms[order], ids[order]))


def _gathered(runs: Sequence[Path], starts: Ints, chosen: Ints) -> Any:
    """The rows of these places in all runs laid end to end, in this order."""
    run = np.searchsorted(starts, chosen, side="right") - 1
    parts, where = [], np.empty(len(chosen), np.int64)
    laid = 0
    for number in np.unique(run).tolist():
        own = chosen[run == number] - starts[number]
        parts.append(_slice(runs[number], int(own[0]), len(own)))
        where[run == number] = laid + np.arange(len(own))
        laid += len(own)
    return pa.concat_tables(parts).combine_chunks().take(pa.array(where))


def _slice(run: Path, first: int, count: int) -> Any:
    """Some rows of a run; it is opened anew each time, for there may be more runs than files that may be open."""
    with pa.OSFile(str(run)) as held:
        reader = pa.ipc.open_file(held)
        pieces = range(first // PIECE_ROWS, (first + count - 1) // PIECE_ROWS + 1)
        rows = pa.Table.from_batches([reader.get_batch(piece) for piece in pieces])
    return rows.slice(first - pieces[0] * PIECE_ROWS, count)


def _numbers(ids: Any) -> Numbers:
    """(n,) the first 64 bits of decision ids, which are hashes."""
    return np.array([int(one[:16], 16) for one in ids.to_pylist()], np.uint64)
