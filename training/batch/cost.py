"""Cost: what stopping orders from a score on would have cost on the held-out days.

A fraud that is let through costs its amount, a good order that is stopped a share of its amount: the margin, and the
customer. Where a set has no amounts each order counts as one. Reviews cost nothing here.
The price: what a stopped customer does afterwards is in no data; the share is the shop's own guess (--lost-good).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from features.columns import Floats
from training.batch.judge import AMOUNT
from training.batch.table import Table

LOST_GOOD: Final = 0.1  # of its amount


@dataclass(frozen=True, slots=True)
class Cost:
    """(t,) each: what it costs to stop orders with at least the score; the last one stops none."""

    at: Floats
    missed: Floats  # frauds let through
    lost: Floats  # good orders stopped
    stopped: Floats  # how many orders are
    unit: str

    @property
    def total(self) -> Floats:
        return self.missed + self.lost

    @property
    def best(self) -> int:
        return int(np.argmin(self.total))

    def about(self) -> dict[str, Any]:
        best = self.best
        return {
            "stop_from": round(float(self.at[best]), 6) if best < len(self.at) - 1 else None,
            "cost": round(float(self.total[best]), 2),
            "cost_of_stopping_none": round(float(self.total[-1]), 2),
            "orders_stopped": int(self.stopped[best]),
            "unit": self.unit,
        }


def cost(score: Floats, held: Table, lost_good: float = LOST_GOOD) -> Cost:
    """Over every distinct score."""
    known = AMOUNT in held.names
    amount = np.maximum(held.x[:, held.names.index(AMOUNT)], 0.0) if known else np.ones(len(held))
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)
    bad = np.where(held.fraud[order], amount[order], 0.0)
    caught, good = np.cumsum(bad)[ends], np.cumsum(amount[order] - bad)[ends]
    return Cost(
        at=np.append(falling[ends][::-1], 1.0),
        missed=np.append((bad.sum() - caught)[::-1], bad.sum()),
        lost=np.append(lost_good * good[::-1], 0.0),
        stopped=np.append((ends + 1.0)[::-1], 0.0),
        unit="base currency" if known else "orders",
    )
