"""ADWIN: has the mean of a stream changed?

Bifet and Gavalda, "Learning from time-changing data with adaptive windowing", 2007. It keeps a window of what it was
told, as buckets whose sizes are powers of two, and drops the oldest part when some older and newer part of it differ by
more than chance would have them. River has the same, compiled: its state is bytes that nobody can look into, and a
learner's state is to be readable and safe to load (state.py). This one is in Python and tells the same changes at the
same values (a test holds the two together). The price: 2 us a value, not .1.
"""

from __future__ import annotations

import math

from river.base import DriftDetector


class Adwin(DriftDetector):
    """River's ADWIN: `delta` is how often it may cry wolf, and every `clock`-th value it looks."""

    def __init__(
        self,
        delta: float = 0.002,
        clock: int = 32,
        max_buckets: int = 5,
        min_window_length: int = 5,
        grace_period: int = 10,
    ) -> None:
        super().__init__()
        self.delta = delta
        self.clock = clock
        self.max_buckets = max_buckets
        self.min_window_length = min_window_length
        self.grace_period = grace_period
        self._reset()

    def _reset(self) -> None:
        super()._reset()
        self._rows: list[list[tuple[float, float]]] = [[]]  # of buckets of 1, 2, 4, ... values: total, variance times n
        self._width = 0
        self._total = 0.0
        self._variance = 0.0
        self._tick = 0

    def update(self, x: float) -> None:
        """Takes a value; `drift_detected` then says whether the mean has changed."""
        if self._drift_detected:
            self._reset()
        self._insert(float(x))
        self._tick += 1
        self._drift_detected = False
        if self._tick % self.clock == 0 and self._width > self.grace_period:
            while self._cut():
                self._drift_detected = True

    @property
    def width(self) -> int:
        """How many values the window holds."""
        return self._width

    def _insert(self, x: float) -> None:
        self._rows[0].append((x, 0.0))
        if self._width:
            off = x - self._total / self._width
            self._variance += self._width * off * off / (self._width + 1)
        self._width += 1
        self._total += x
        self._merge()

    def _merge(self) -> None:
        """A row that is over-full hands its two oldest buckets, as one, to the row of the next size."""
        for level, row in enumerate(self._rows):
            if len(row) <= self.max_buckets:
                return
            (total, variance), (other, more) = row[0], row[1]
            size = 1 << level
            off = (total - other) / size
            del row[:2]
            if level + 1 == len(self._rows):
                self._rows.append([])
            self._rows[level + 1].append((total + other, variance + more + size * off * off / 2))

    def _cut(self) -> bool:
        """Drops the oldest bucket where some split of the window shows a change."""
        older, total = 0, 0.0
        for level in range(len(self._rows) - 1, -1, -1):
            for bucket, _ in self._rows[level]:
                older += 1 << level
                total += bucket
                newer = self._width - older
                if older < self.min_window_length or newer < self.min_window_length:
                    continue
                if self._differ(older, newer, total / older - (self._total - total) / newer):
                    self._drop()
                    return True
        return False

    def _differ(self, older: int, newer: int, off: float) -> bool:
        chance = math.log(2 * math.log(self._width) / self.delta)
        least = self.min_window_length - 1
        few = 1 / (older - least) + 1 / (newer - least)
        return abs(off) > math.sqrt(2 * few * self._variance / self._width * chance) + 2 / 3 * chance * few

    def _drop(self) -> None:
        level = len(self._rows) - 1
        total, variance = self._rows[level].pop(0)
        size = 1 << level
        self._width -= size
        self._total -= total
        off = total / size - self._total / self._width
        self._variance -= variance + size * self._width * off * off / (size + self._width)
        while len(self._rows) > 1 and not self._rows[-1]:
            self._rows.pop()
