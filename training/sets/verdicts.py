"""Verdicts: which records of a topic counted, as the rows of `applied` say.

Rows come in the order of the log. After a loss of state they go back; what is covered a second time counted under the
first row, so the first row says. The price: `applied` is read from its start, a few rows per thousand events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from archive.reader import scan
from features.columns import Ints
from schemas.decisions import AppliedRow, decode_applied
from storage.places import Place
from training.sets.asked import Bools

APPLIED = "applied"


@dataclass(slots=True)
class Taken:
    """What was taken of one partition."""

    first: int = -1  # the first offset that a row covers
    next: int = -1  # everything below is in some row, but for the holes
    holes: list[tuple[int, int]] = field(default_factory=list)
    exceptions: list[int] = field(default_factory=list)

    def row(self, row: AppliedRow) -> None:
        """Adds what a row says of offsets that no earlier one covers."""
        if self.first < 0:
            self.first = self.next = row.first
        if row.first > self.next:
            self.holes.append((self.next, row.first - 1))
        self.exceptions += [offset for offsets in row.exceptions.values() for offset in offsets if offset >= self.next]
        self.next = max(self.next, row.last + 1)

    def covers(self, offset: Ints) -> Bools:
        """(n,) whether a row tells of each."""
        covered = (offset >= self.first) & (offset < self.next)
        for first, last in self.holes:
            covered &= (offset < first) | (offset > last)
        return covered

    def fresh(self, offset: Ints) -> Bools:
        """(n,) whether each counted; only of those that are covered."""
        return ~np.isin(offset, np.array(self.exceptions, np.int64))


def verdicts(place: Place, topic: str, topic_id: str) -> Mapping[int, Taken]:
    """By partition, of the records of this topic id; empty where no row tells of the topic."""
    found: dict[int, Taken] = {}
    for batch in scan(place, APPLIED, columns=["topic", "kafka_value"]):
        for name, value in zip(batch.column("topic").to_pylist(), batch.column("kafka_value").to_pylist(), strict=True):
            row = decode_applied(value) if name == topic else None
            if row is not None and row.topic_id == topic_id:
                found.setdefault(row.partition, Taken()).row(row)
    return found
