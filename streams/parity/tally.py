"""Tallies: per feature how many values were compared, how many differ, and the first order where one does.

Two values are equal if they are the same 64 bits: no tolerance, since the same formula over the same integers gives the
same bytes. NaN never stands in a vector, so one that does differs from everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats2d = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """One value of one order."""

    order_id: str
    decision_id: str
    at_ms: int
    logged: float
    rebuilt: float


@dataclass(slots=True)
class Tally:
    """`compared` and `mismatches` are of vectors; `by_feature` has those of `names`."""

    names: Sequence[str]
    compared: int = 0
    mismatches: int = 0
    by_feature: npt.NDArray[np.int64] = field(init=False)
    first: dict[str, Difference] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_feature = np.zeros(len(self.names), np.int64)

    def compare(self, orders: Sequence[tuple[str, str, int]], logged: Floats2d, rebuilt: Floats2d) -> None:
        """(n,) orders as (order id, decision id, event ms), (n, d) logged and rebuilt."""
        differs = (_bits(logged) != _bits(rebuilt)) | np.isnan(logged)
        self.compared += len(orders)
        self.mismatches += int(differs.any(axis=1).sum())
        self.by_feature += differs.sum(axis=0)
        for column in np.flatnonzero(differs.any(axis=0)).tolist():
            row = int(np.argmax(differs[:, column]))
            found = Difference(*orders[row], float(logged[row, column]), float(rebuilt[row, column]))
            self.first.setdefault(self.names[column], found)

    @property
    def wrong(self) -> list[str]:
        """The features with mismatches, those with the most first."""
        order = np.argsort(-self.by_feature, kind="stable").tolist()
        return [self.names[place] for place in order if self.by_feature[place]]

    def as_dict(self) -> dict[str, Any]:
        counts = dict(zip(self.names, self.by_feature.tolist(), strict=True))
        features: Mapping[str, Any] = {
            name: {"compared": self.compared, "mismatches": count, "first": _shown(self.first.get(name))}
            for name, count in counts.items()
        }
        return {"compared": self.compared, "mismatches": self.mismatches, "features": features}

    def lines(self, shown: int) -> Iterator[str]:
        """The worst features as a table."""
        wrong = self.wrong
        if wrong:
            yield f"  {'feature':<40} {'compared':>10} {'mismatches':>10}  first"
        counts = dict(zip(self.names, self.by_feature.tolist(), strict=True))
        for name in wrong[:shown]:
            one = self.first[name]
            where = f"order {one.order_id}: logged {one.logged!r}, rebuilt {one.rebuilt!r}"
            yield f"  {name:<40} {self.compared:>10,} {counts[name]:>10,}  {where}"
        if len(wrong) > shown:
            yield f"  and {len(wrong) - shown} more features"


def _bits(values: Floats2d) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(values, np.float64).view(np.uint64)


def _shown(one: Difference | None) -> dict[str, Any] | None:
    return None if one is None else {name: getattr(one, name) for name in Difference.__slots__}
