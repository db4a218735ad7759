"""Judge: what a model is worth on days that nothing in it has seen, beside cheap gates and the one in force.

A gate is what must be beaten to be worth the trouble: the amount alone, and logistic regression on all columns. Gains
are judged on the same resamples of the same orders, so that luck which both share does not count. `beyond noise` means
that the whole interval is above 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from features.columns import Floats
from models.logistic import Logistic
from models.scorer import Scorer
from training.batch.table import Table
from training.fits import logistic
from training.metrics import Measured, Scored, gain, measure_all

AMOUNT: Final = "order_amount"
GATE_L2: Final = 10.0
MODEL: Final = "model"
CHAMPION: Final = "champion"
AMOUNT_ALONE, ALL_COLUMNS = "amount alone", "logistic regression"
LOGISTIC: Final = "logistic"  # the kind: a member of it is that gate, and stands there once
_GATE_ROWS: Final = 50_000  # of the newest days: more would not make a straight line better


@dataclass(frozen=True)
class Judged:
    """What was measured, by the name of each score."""

    metrics: Mapping[str, Mapping[str, Measured]]
    gains: Mapping[str, Mapping[str, Measured]]  # of the model over each of the others that it is held against
    scores: Mapping[str, Floats]  # (n,) each, for plots

    def beats(self, other: str) -> bool:
        """In average precision, beyond noise."""
        return self.gains[other]["ap"].low > 0

    @property
    def gate(self) -> str:
        """The dearest gate that it was held against."""
        return next(name for name in (ALL_COLUMNS, LOGISTIC, AMOUNT_ALONE) if name in self.gains)

    def about(self) -> dict[str, Any]:
        """For a manifest: the model's own figures first."""
        others = {name: _json(one) for name, one in self.metrics.items() if name != MODEL}
        gains = {name: _json(one) for name, one in self.gains.items()}
        return {**_json(self.metrics[MODEL]), "beside": others, "gain": gains}


def gates(part: Table, members: Mapping[str, Scorer]) -> dict[str, Scorer]:
    """The gates, fitted on the same days as the members. One that is a member is taken as it is, under its name.

    A model that is a logistic regression and nothing else has only the amount to beat.
    """
    some = part if len(part) <= _GATE_ROWS else part.between(int(part.at_ms[-_GATE_ROWS]), int(part.at_ms[-1]) + 1)
    found = dict[str, Scorer]()
    if AMOUNT in part.names:
        at = part.names.index(AMOUNT)
        one = logistic.fit(some.x[:, [at]], some.fraud, (AMOUNT,), l2=GATE_L2, owner=some.owner)
        found[AMOUNT_ALONE] = Logistic(one.inputs, one.bias, part.names)
    if len(members) > 1 and LOGISTIC in members:
        found[LOGISTIC] = members[LOGISTIC]
    elif members.keys() != {LOGISTIC} or not found:
        found[ALL_COLUMNS] = logistic.fit(some.x, some.fraud, part.names, l2=GATE_L2, owner=some.owner)
    return found


def judge(scores: Mapping[str, Floats], against: frozenset[str], held: Table, seed: int, resamples: int) -> Judged:
    """`scores` are those of MODEL and of others on the held-out days; gains are taken over those of `against`."""
    scored = {name: scored_on(held, score) for name, score in scores.items()}
    return Judged(
        metrics={name: measure_all(one, seed, resamples) for name, one in scored.items()},
        gains={name: gain(scored[MODEL], scored[name], seed, resamples) for name in scores if name in against},
        scores=scores,
    )


def scored_on(part: Table, score: Floats) -> Scored:
    return Scored(score, part.fraud, part.cards, part.day)


def _json(measured: Mapping[str, Measured]) -> dict[str, dict[str, float]]:
    return {name: one.as_json() for name, one in measured.items()}
