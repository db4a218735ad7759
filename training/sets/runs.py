"""Runs: a table sorted by time that need not fit into memory.

Rows are sorted some thousand at a time, written to a temporary folder with their keys, and merged. Of each run only
every thousandth key stays in memory; by these the time is cut into stretches of some thousand rows, and a stretch is
what lies in it of every run, sorted. The price: the set once on disk, not compressed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from archive.arrow import pa
from features.bag import Numbers

RUN_ROWS: Final = 16_384
PIECE_ROWS: Final = 1_024  # of a run, that are read together
KEY: Final = np.dtype([("at", "<i8"), ("id", "<u8")])  # event time and the first half of the decision id


class Runs:
    """`add` in any order, then read `merged`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[Any] = []
        self._runs: list[_Run] = []

    def add(self, rows: Any) -> None:
        """Rows with columns `event_time` and `decision_id`."""
        self._held.append(rows)
        if sum(map(len, self._held)) >= RUN_ROWS:
            self._cut()

    def merged(self, at_once: int) -> Iterator[Any]:
        """All rows by event time and decision id, about `at_once` at a time."""
        self._cut()
        if not self._runs:
            return
        cuts = np.concatenate([run.firsts for run in self._runs])
        cuts = cuts[_order(cuts)][:: max(1, at_once // PIECE_ROWS)][1:]
        begin = [0] * len(self._runs)
        for end in [*([run.before(cut) for run in self._runs] for cut in cuts), [run.rows for run in self._runs]]:
            some = [(run, b, e) for run, b, e in zip(self._runs, begin, end, strict=True) if e > b]
            if some:
                yield _gathered(some)
            begin = end

    def _cut(self) -> None:
        if not self._held:
            return
        rows, self._held = pa.concat_tables(self._held), []
        keys = np.empty(len(rows), KEY)
        keys["at"] = rows.column("event_time").cast(pa.int64()).to_numpy()
        keys["id"] = _numbers(rows.column("decision_id"))
        order = _order(keys)
        path = self._folder / f"run-{len(self._runs):05d}.arrow"
        with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, rows.schema) as into:
            into.write_table(rows.take(pa.array(order)).combine_chunks(), max_chunksize=PIECE_ROWS)
        keys[order].tofile(path.with_suffix(".keys"))
        self._runs.append(_Run(path, len(rows), keys[order][::PIECE_ROWS]))


@dataclass(frozen=True, slots=True)
class _Run:
    """A sorted run; `firsts`: the key of the first row of each piece."""

    path: Path
    rows: int
    firsts: Any

    def keys(self, begin: int, end: int) -> Any:
        """Those of some of its rows."""
        return np.fromfile(self.path.with_suffix(".keys"), KEY, end - begin, offset=begin * KEY.itemsize)

    def before(self, key: Any) -> int:
        """How many of its rows come before a key."""
        pieces = _before(self.firsts, key)
        if not pieces:
            return 0
        begin = (pieces - 1) * PIECE_ROWS
        return begin + _before(self.keys(begin, min(begin + PIECE_ROWS, self.rows)), key)


def _before(keys: Any, key: Any) -> int:
    """How many of sorted keys are smaller."""
    first, last = (int(keys["at"].searchsorted(key["at"], side)) for side in ("left", "right"))
    return first + int(keys["id"][first:last].searchsorted(key["id"]))


def _order(keys: Any) -> Any:
    return np.lexsort((keys["id"], keys["at"]))


def _gathered(parts: Sequence[tuple[_Run, int, int]]) -> Any:
    """Rows begin..end - 1 of each run, sorted."""
    order = _order(np.concatenate([run.keys(begin, end) for run, begin, end in parts]))
    rows = pa.concat_tables([_slice(run.path, begin, end - begin) for run, begin, end in parts])
    return rows.combine_chunks().take(pa.array(order))


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
