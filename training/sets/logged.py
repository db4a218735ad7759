"""Logged vectors: what `decisions` says of each order, as it was published first.

A vector that was logged never changes, whatever the definitions have become since; one of other features than today's
is told as not there, and somebody else makes it again. The price: JSON was archived beside it, and is not read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from archive.arrow import pa
from archive.reader import Between, Partition, covers, scan
from features.columns import Ints
from features.window import DAY_MS
from storage.places import Place
from training.sets.asked import Asked
from training.sets.cursor import Cursor

DECISIONS: Final = "decisions"
WHERE: Final = ["topic", "partition", "offset"]
SAID: Final = ["score", "action", "model", "model_version", "feature_hash", "recovered"]


def vectors_of(rows: Any) -> Any:
    """(n, d) -> an Arrow array of n lists of d doubles."""
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(rows).ravel()), rows.shape[1])


def matrix_of(vectors: Any, size: int) -> Any:
    """The way back: (n, size)."""
    return np.asarray(vectors.combine_chunks().flatten()).reshape(len(vectors), size)


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions of a topic's orders; `bounds`: first and last offset of each partition of `decisions`."""

    place: Place
    asked: Asked
    feature_hash: str
    size: int  # of a vector
    bounds: Mapping[int, tuple[int, int]]

    def of_partition(self, partition: int) -> Found:
        """By the offsets of an input partition. They lie in the partition of the same number, as a rule."""
        near = sorted(self.bounds, key=lambda number: number != partition)
        return Found([Cursor(self._stream(number, partition)) for number in near])

    def others(self) -> int:
        """How many orders of the window were decided with other features than today's."""
        count = 0
        for batch in scan(self.place, DECISIONS, between=self._span, columns=["topic", "at", "feature_hash"]):
            at_ms = np.asarray(batch.column("at").cast(pa.int64()))
            inside = (at_ms >= self.asked.from_ms) & (at_ms < self.asked.to_ms)
            strange = np.asarray(batch.column("feature_hash")) != self.feature_hash
            count += int((inside & strange & (np.asarray(batch.column("topic")) == self.asked.topic)).sum())
        return count

    @property
    def _span(self) -> Between:
        """A decision is published after its order came, by clocks that differ by less than a day."""
        return Between(max(0, self.asked.record_span[0] - DAY_MS))

    def _stream(self, number: int, partition: int) -> Iterator[Any]:
        part = Partition(self.place, DECISIONS, number)
        for batch in part.read(*self.bounds[number], self._span, [*WHERE, *SAID, "vector"]):
            table = pa.Table.from_batches([batch])
            ours = np.asarray(batch.column("partition")) == partition
            ours &= np.asarray(batch.column("topic")) == self.asked.topic
            if ours.any():
                yield self._told(table if ours.all() else table.filter(pa.array(ours)))

    def _told(self, table: Any) -> Any:
        """`vector` becomes a list of today's size, of zeros where the features were others; `logged` says which."""
        lists = table.column("vector").combine_chunks()
        sizes = np.asarray(lists.value_lengths().fill_null(0))
        logged = (np.asarray(table.column("feature_hash")) == self.feature_hash) & (sizes == self.size)
        rows = np.zeros((len(table), self.size))
        rows[logged] = np.asarray(lists.filter(pa.array(logged)).flatten()).reshape(-1, self.size)
        kept = table.select(["offset", *SAID])
        return kept.append_column("logged", pa.array(logged)).append_column("vector", vectors_of(rows))


class Found:
    """Several cursors asked as one: the later ones for what the earlier ones do not have."""

    def __init__(self, cursors: list[Cursor]) -> None:
        self._cursors = cursors

    def take(self, offset: Ints) -> tuple[Any, Ints]:
        """As Cursor.take, but for the order of the places."""
        tables, places = [], [np.zeros(0, np.int64)]
        missing = np.arange(len(offset))
        for cursor in self._cursors:
            rows, found = cursor.take(offset[missing])
            if rows is not None:
                tables.append(rows)
                places.append(missing[found])
                missing = np.delete(missing, found)
        return (pa.concat_tables(tables) if tables else None), np.concatenate(places)


def decisions(place: Place, asked: Asked, feature_hash: str, size: int) -> Decisions:
    """Of the archive as it is now; none where nothing was decided yet."""
    bounds = {key[1]: (whole.pieces[0].first, whole.pieces[-1].last) for key, whole in covers(place, DECISIONS)}
    return Decisions(place, asked, feature_hash, size, bounds)
