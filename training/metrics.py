"""Metrics: how well a score finds frauds, each with an interval.

- AUC: how often a fraud scores above a good order. Ties count half.
- Average precision (AP): the area under precision over recall, as steps; scikit-learn's definition.
- Card precision @ k (Fraud Detection Handbook, chapter 4): each day the k cards whose highest score of the day is
  largest are checked; the mean share of them that had a fraud that day. A card that was caught is not looked at again.

Intervals are those of a bootstrap over cards, not over orders: the orders of one card are not independent, and
intervals that pretend so are too narrow by half. All metrics take a weight per card for it, so that nothing is sorted
twice. The price: the days of the test are taken as given, so luck with the week is not in the interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TOP_CARDS: Final = 100  # a day: what the Handbook's reviewers manage
RESAMPLES: Final = 500
LEVEL: Final = 0.95  # of the intervals


@dataclass(frozen=True)
class Scored:
    """What was scored: (n,) each. `card` are small integers, `day` any."""

    score: Floats
    fraud: Bools
    card: Ints
    day: Ints

    @cached_property
    def cards(self) -> int:
        return int(self.card.max()) + 1 if len(self.card) else 0

    @cached_property
    def _steps(self) -> tuple[Ints, Ints]:
        """Places by falling score, and where in that order each run of equal scores ends."""
        order = np.argsort(-self.score, kind="stable")
        falling = self.score[order]
        return order, np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)

    @cached_property
    def _days(self) -> list[tuple[Ints, Bools]]:
        """Per day its cards by falling highest score, and which of them had a fraud that day."""
        return [_cards_of(self.score[d], self.fraud[d], self.card[d]) for d in self._rows_of_days()]

    def _rows_of_days(self) -> list[Ints]:
        return [np.flatnonzero(self.day == day) for day in np.unique(self.day)]

    def found(self, weight: Floats) -> tuple[Floats, Floats]:
        """Weight of frauds and of goods down to each distinct score, from the highest; `weight` is per card."""
        order, ends = self._steps
        each = weight[self.card[order]]
        bad = np.where(self.fraud[order], each, 0.0)
        return np.cumsum(bad)[ends], np.cumsum(each - bad)[ends]

    def auc(self, weight: Floats | None = None) -> float:
        frauds, goods = self.found(self._even if weight is None else weight)
        above = np.diff(goods, prepend=0.0) * (frauds + np.concatenate([[0.0], frauds[:-1]])) / 2
        return float(above.sum() / (frauds[-1] * goods[-1]))

    def average_precision(self, weight: Floats | None = None) -> float:
        frauds, goods = self.found(self._even if weight is None else weight)
        total = np.maximum(frauds + goods, 1e-300)  # nothing at all was drawn down to here
        return float((np.diff(frauds, prepend=0.0) * frauds / total).sum() / frauds[-1])

    def card_precision(self, weight: Floats | None = None, k: int = TOP_CARDS) -> float:
        weight = self._even if weight is None else weight
        caught = np.zeros(self.cards, dtype=np.bool_)
        shares = []
        for cards, bad in self._days:
            left = ~caught[cards]
            seen, hit = cards[left], bad[left]
            checked = np.clip(k - (np.cumsum(weight[seen]) - weight[seen]), 0, weight[seen])
            shares.append(checked[hit].sum() / k)
            caught[seen[hit & (checked > 0)]] = True
        return float(np.mean(shares))

    @cached_property
    def _even(self) -> Floats:
        return np.ones(self.cards)


def _cards_of(score: Floats, fraud: Bools, card: Ints) -> tuple[Ints, Bools]:
    cards, place = np.unique(card, return_inverse=True)
    highest = np.full(len(cards), -np.inf)
    np.maximum.at(highest, place, score)
    bad = np.zeros(len(cards), dtype=np.bool_)
    np.logical_or.at(bad, place, fraud)
    order = np.argsort(-highest, kind="stable")
    return cards[order], bad[order]


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric with its interval."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


def gain(scored: Scored, base: Scored, seed: int, resamples: int = RESAMPLES) -> dict[str, Measured]:
    """In AUC and AP over another score of the same orders, both judged on the same resamples."""
    draws = _draws(scored.cards, seed, resamples)
    pairs = {"auc": (scored.auc, base.auc), "ap": (scored.average_precision, base.average_precision)}
    return {
        name: Measured(ours() - theirs(), *_interval([ours(draw) - theirs(draw) for draw in draws]))
        for name, (ours, theirs) in pairs.items()
    }


def measure(scored: Scored, seed: int, resamples: int = RESAMPLES) -> dict[str, Measured]:
    """AUC, AP and CP@100 with bootstrap intervals; the same seed gives the same intervals."""
    metrics: dict[str, Callable[[Floats | None], float]] = {
        "auc": scored.auc,
        "ap": scored.average_precision,
        f"cp{TOP_CARDS}": scored.card_precision,
    }
    draws = _draws(scored.cards, seed, resamples)
    return {name: Measured(of(None), *_interval([of(draw) for draw in draws])) for name, of in metrics.items()}


def _draws(cards: int, seed: int, resamples: int) -> list[Floats]:
    """For each resample how often each card is in it: as many cards, drawn with replacement."""
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(0, cards, cards) for _ in range(resamples))
    return [np.bincount(each, minlength=cards).astype(np.float64) for each in drawn]


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
