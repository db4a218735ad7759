"""What `matured` says already: of each decision how often something was said, and what last.

The queue reads it back before it goes on, so nothing is said twice and nothing is left out, whatever became of its
process, and whatever was set otherwise since. The price: `matured` is read from its beginning where there is no
checkpoint, and takes 20 bytes a decision.
"""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt

from schemas.matured import Key, Told


class Said:
    """Records in the order of the log; then asked, by the hashes of decisions (`decision_of`)."""

    def __init__(self, last: Key | None = None) -> None:
        """`last`: what is up to there is known already."""
        self.last = last  # the largest key
        self.newest: dict[int, int] = {}  # by partition of `decisions`, the last offset of which something is said
        self._decision, self._told = array("Q"), array("I")
        self._sorted: tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]] | None = None

    def __len__(self) -> int:
        return len(self._decision)

    def add(self, record: Told) -> bool:
        """Whether it says something new: a key that is not above the last is a record written again."""
        if self.last is not None and record.key <= self.last:
            return False
        self.last = record.key
        self.newest[record.partition] = max(record.offset, self.newest.get(record.partition, -1))
        self._decision.append(decision_of(record.decision_id))
        self._told.append(record.turn << 1 | record.label)
        self._sorted = None
        return True

    def of(self, decision: int) -> tuple[int, int] | None:
        """(turn, label) of the newest record of a decision."""
        known, what = self._by_decision()
        place = int(np.searchsorted(known, np.uint64(decision), side="right")) - 1
        if place < 0 or known[place] != decision:
            return None
        told = int(what[place])
        return told >> 1, told & 1

    def decisions(self) -> npt.NDArray[np.uint64]:
        """Each of which something is said, once."""
        return np.unique(self._by_decision()[0])

    def _by_decision(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
        if self._sorted is None:
            decision = np.array(self._decision, np.uint64)
            order = np.argsort(decision, kind="stable")
            self._sorted = decision[order], np.array(self._told, np.uint32)[order]
        return self._sorted


def decision_of(decision_id: str) -> int:
    """The first 8 bytes of a decision id: they are of a SHA-256, and tell decisions apart."""
    return int(decision_id[:16], 16)
