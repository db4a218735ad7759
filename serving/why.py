"""Why a decision is what it is, for people: what weighed, against what is usual, out of the logged vector.

What weighed is said by the model that decided, where that one is still in force; another model's contributions would
explain another score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.decisions import DecisionLog
from serving.parts import Parts

MOST: Final = 8


@dataclass(frozen=True, slots=True)
class Weighed:
    """One feature: its value, what is usual, and what it added to the log-odds."""

    name: str
    what: str
    value: float
    usual: float
    added: float


def weighed(parts: Parts, log: DecisionLog) -> list[Weighed] | None:
    """What weighed most, heaviest first; None where the model in force is another, or cannot say."""
    own, vector = parts.force.choice.configuration, parts.definitions.vector
    model = own.decider.model
    if model is None or log.config != own.id or log.feature_hash != vector.hash:
        return None
    x = np.array([log.vector], dtype=np.float64)
    added = model.contributions(x)[0]
    place = {name: at for at, name in enumerate(vector.names)}
    heaviest = np.argsort(-np.abs(added), kind="stable")[:MOST].tolist()
    return [
        Weighed(name, parts.words.get(name, name), float(x[0, place[name]]), float(model.usual[at]), float(added[at]))
        for at in heaviest
        if (name := model.reads[at]) and added[at]
    ]
