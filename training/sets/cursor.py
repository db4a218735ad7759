"""A cursor: rows of a stream by their offsets, for somebody who asks in the same order.

Both sides are ordered, so each is read once and nothing is looked up in memory. An offset that comes again is a copy (a
decision that was published twice): the first one counts. The price: what lies between is read and thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from archive.arrow import pa
from features.columns import Ints


class Cursor:
    """`stream` gives tables with a column `offset` that grows but for copies."""

    def __init__(self, stream: Iterator[Any]) -> None:
        self._stream = stream
        self._held: list[Any] = []
        self._seen = -1  # the largest offset so far

    def take(self, offset: Ints) -> tuple[Any, Ints]:
        """The rows of (n,) ascending offsets that there are, None without any, and the places that they belong to.

        What lies before the last of them is gone then.
        """
        if not len(offset):
            return None, np.zeros(0, np.int64)
        self._read(int(offset[0]), int(offset[-1]))
        if not self._held:
            return None, np.zeros(0, np.int64)
        rows = pa.concat_tables(self._held)
        held = _offsets(rows)
        self._held = _kept(rows, held > offset[-1])
        places = np.flatnonzero(np.isin(offset, held))
        if not len(places):
            return None, places
        return rows.take(pa.array(np.searchsorted(held, offset[places]))), places

    def _read(self, first: int, last: int) -> None:
        self._held = [rows for held in self._held for rows in _kept(held, _offsets(held) >= first)]
        while self._seen < last and (rows := next(self._stream, None)) is not None:
            held = _offsets(rows)
            before = np.maximum.accumulate(np.concatenate(([self._seen], held)))
            self._held += _kept(rows, (held > before[:-1]) & (held >= first))
            self._seen = int(before[-1])


def _offsets(rows: Any) -> Ints:
    found: Ints = rows.column("offset").to_numpy()
    return found


def _kept(rows: Any, which: Any) -> list[Any]:
    """Those rows, in a list if there are any."""
    if which.all():
        return [rows] if len(rows) else []
    return [rows.filter(pa.array(which))] if which.any() else []
