"""Shadow: challengers score every order beside the champion, are logged, and never act.

A challenger must not be able to do harm: one that raises, or gives what is no score, is left out of the range and
named, and the decisions are as without it. A scorer is a pure function: where the range is done again it fails again.
The price: a challenger costs what a champion would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from models.exact import Floats
from models.scorer import Scorer

PREFIX: Final = "challenger:"  # of its name among a decision's members


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What challengers said of n orders: their scores, (n,) each, and why some have none; by name/version."""

    scores: Mapping[str, Floats] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


NOTHING: Final = Shadowed()


@dataclass(frozen=True, slots=True)
class Shadow:
    """The challengers of a configuration, by name/version, in a fixed order."""

    challengers: Mapping[str, Scorer] = field(default_factory=dict)

    def score(self, x: Floats) -> Shadowed:
        """(n, d) vectors -> what each challenger says; never raises."""
        if not self.challengers:
            return NOTHING
        scores, failed = dict[str, Floats](), dict[str, str]()
        for label, model in self.challengers.items():
            try:
                scores[label] = checked(model.score(x), len(x))
            except Exception as error:  # whatever it is, the champion's decisions go out
                failed[label] = f"{type(error).__name__}: {error}"
        return Shadowed(scores, failed)


def checked(score: Floats, n: int) -> Floats:
    """(n,) scores; raises ValueError for what is none, such as NaN."""
    if np.shape(score) != (n,) or not ((score >= 0) & (score <= 1)).all():
        raise ValueError(f"its scores of {n} orders are none: want ({n},) numbers from 0 to 1")
    return score


def proved(model: Scorer, width: int) -> None:
    """Scores and explains two orders whose every feature is 0, as they are where nothing is known yet.

    Raises whatever the model does, before any order depends on it. It also makes ready what is made on first use.
    """
    x = np.zeros((2, width))
    checked(model.score(x), 2)
    model.contributions(x)
