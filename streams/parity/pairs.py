"""Pairs: a logged vector meets the one that was rebuilt of the same order, whichever comes first.

An order is known by where it lies: topic, partition, offset. What was rebuilt is kept for a while after it met its
vector, since a decision may have been published twice; every copy is compared. What cannot be compared is counted by
its reason. The price: memory for some ten thousand rows of each partition.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

import msgspec
import numpy as np
import numpy.typing as npt

from features.replay import Rebuilt
from streams.parity.tally import Floats2d, Tally
from streams.past.feed import Told

KEPT = 20_000  # rebuilt rows of a partition; a copy that comes later is not compared
Place = tuple[str, int]


class Logged(msgspec.Struct, gc=False):
    """What is read of a record of `decisions`."""

    decision_id: str
    order_id: str
    topic: str
    partition: int
    offset: int
    at_ms: int
    vector: list[float]
    feature_hash: str
    recovered: bool


class Why(StrEnum):
    """Why a logged vector is not compared."""

    RECOVERED = "recovered"  # made again after a loss of state: what it saw is not written down
    DOUBTFUL = "doubtful"  # decided by another partition around such a loss
    WARMING_UP = "warming_up"  # its windows reach into what the log no longer holds
    OTHER_FEATURES = "other_features"  # of other definitions than today's
    OUTSIDE = "outside"  # of --from and --to
    UNKNOWN = "unknown"  # no row of `applied` tells of it, or not yet


@dataclass(frozen=True, slots=True)
class Terms:
    """What may be compared."""

    feature_hash: str
    from_ms: int
    to_ms: int
    reach_ms: int | None  # how far back a window may go; None: for ever


@dataclass(slots=True)
class _Row:
    """One rebuilt vector; `met` is how many copies were compared with it."""

    values: npt.NDArray[np.float64]
    doubtful: bool
    met: int = 0


class Pairs:
    """`rebuilt` and `logged` in any order; `settle` compares what has met."""

    def __init__(self, tally: Tally, terms: Terms, lost_ms: Callable[[], int]) -> None:
        """`lost_ms`: up to when records are missing, as far as is known by now."""
        self.tally, self._terms, self._lost_ms = tally, terms, lost_ms
        self.left_out: Counter[Why] = Counter()
        self.copies = 0
        self.undecided = 0  # rebuilt, and no vector was logged
        self._rows: dict[Place, OrderedDict[int, _Row]] = {}
        self._early: dict[tuple[str, int, int], list[Logged]] = {}
        self._met: list[tuple[Logged, npt.NDArray[np.float64]]] = []
        self.chosen: Callable[[Logged], None] | None = None  # told of each that is compared, once

    def rebuilt(self, one: Rebuilt) -> None:
        """The vectors of a range."""
        told: Told = one.range.tag
        place = told.applied.topic, told.applied.partition
        rows = self._rows.setdefault(place, OrderedDict())
        for offset, values in zip(told.offset.tolist(), one.rows, strict=True):
            rows[offset] = row = _Row(values, told.doubtful)
            for logged in self._early.pop((*place, offset), ()):
                self._meet(logged, row)
        while len(rows) > KEPT:
            self.undecided += not rows.popitem(last=False)[1].met

    def logged(self, one: Logged) -> None:
        """A vector of the log."""
        rows = self._rows.get((one.topic, one.partition))
        row = rows.get(one.offset) if rows else None
        if row is not None:
            self._meet(one, row)
        else:
            self._early.setdefault((one.topic, one.partition, one.offset), []).append(one)

    def settle(self) -> None:
        """Compares what has met."""
        if self._met:
            orders = [(one.order_id, one.decision_id, one.at_ms) for one, _ in self._met]
            logged: Floats2d = np.array([one.vector for one, _ in self._met], np.float64)
            self.tally.compare(orders, logged, np.array([values for _, values in self._met]))
            self._met.clear()

    def end(self) -> None:
        """Counts what nothing was met for, and forgets it."""
        self.settle()
        self.undecided += sum(not row.met for rows in self._rows.values() for row in rows.values())
        for one in chain.from_iterable(self._early.values()):
            self.left_out[self._excluded(one) or Why.UNKNOWN] += 1
        self._rows.clear()
        self._early.clear()

    def _meet(self, one: Logged, row: _Row) -> None:
        row.met += 1
        why = self._excluded(one)
        if why is None and row.doubtful:
            why = Why.DOUBTFUL
        if why is None and self._warming_up(one.at_ms):
            why = Why.WARMING_UP
        if why is not None:
            self.left_out[why] += 1
            return
        self.copies += row.met > 1
        self._met.append((one, row.values))
        if row.met == 1 and self.chosen is not None:
            self.chosen(one)

    def _excluded(self, one: Logged) -> Why | None:
        terms = self._terms
        if one.feature_hash != terms.feature_hash:
            return Why.OTHER_FEATURES
        if not terms.from_ms <= one.at_ms < terms.to_ms:
            return Why.OUTSIDE
        return Why.RECOVERED if one.recovered else None

    def _warming_up(self, at_ms: int) -> bool:
        lost, reach = self._lost_ms(), self._terms.reach_ms
        return lost >= 0 and (reach is None or at_ms - reach <= lost)
