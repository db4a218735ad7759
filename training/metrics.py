"""Metrics: how well a score finds frauds, each with an interval.

- AUC: how often a fraud scores above a good order. Ties count half.
- Average precision (AP): the area under precision over recall, as steps; scikit-learn's definition.
- Card precision @ k (Fraud Detection Handbook, chapter 4): each day the k cards whose highest score of the day is
  largest are checked; the mean share of them that had a fraud that day. A card that was caught is not looked at again.
- Recall at 1 % false positives: the share of frauds that are stopped where one good order in a hundred is.
- Calibration error: orders in twenty bins of as many orders each, by score; the mean distance between a bin's mean
  score and its share of frauds. Most bins hold hardly any fraud, so the same is asked of the top 1 % of scores alone.

Intervals are those of a bootstrap over cards, not over orders: the orders of one card are not independent, and
intervals that pretend so are too narrow by half. All metrics take a weight per card for it, so that nothing is sorted
twice; bins are those of all orders. The price: the days of the test are taken as given, so luck with the week is not in
the interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FALSE_POSITIVES: Final = 0.01  # of the goods: what a shop can bear to stop
BINS: Final = 20
TOP_SHARE: Final = 0.01  # of the orders: those that decisions are about
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
        """Weight of frauds and of goods down to each distinct score, from the highest; `weight` is per card.

        The newest answer is kept: several metrics ask for it.
        """
        kept: tuple[Floats, Floats, Floats] | None = self.__dict__.get("_found")
        if kept is None or kept[0] is not weight:
            card, fraud, ends = self._falling
            each = weight[card]
            bad = np.where(fraud, each, 0.0)
            kept = weight, np.cumsum(bad)[ends], np.cumsum(each - bad)[ends]
            self.__dict__["_found"] = kept
        return kept[1:]

    @cached_property
    def _falling(self) -> tuple[Ints, Bools, Ints]:
        """Cards and frauds by falling score, and the ends of its runs."""
        order, ends = self._steps
        return self.card[order], self.fraud[order], ends

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

    def recall(self, weight: Floats | None = None, at: float = FALSE_POSITIVES) -> float:
        """The share of frauds above the score that this share of goods is above."""
        frauds, goods = self.found(self._even if weight is None else weight)
        stopped = np.concatenate([[0.0], goods / goods[-1]])
        return float(np.interp(at, stopped, np.concatenate([[0.0], frauds / frauds[-1]])))

    def calibration_error(self, weight: Floats | None = None) -> float:
        each = (self._even if weight is None else weight)[self.card]
        said, was = (np.bincount(self._bins, each * of, BINS) for of in (self.score, self.fraud))
        return float(np.abs(said - was).sum() / each.sum())

    def top_gap(self, weight: Floats | None = None) -> float:
        """How far the mean score of the top 1 % is from their share of frauds."""
        said, was = self._top(self.score, weight), self._top(self.fraud, weight)
        return abs(said - was)

    def top_rate(self, weight: Floats | None = None) -> float:
        """The share of frauds in the top 1 %."""
        return self._top(self.fraud, weight)

    def _top(self, of: npt.NDArray[Any], weight: Floats | None) -> float:
        each = (self._even if weight is None else weight)[self.card[self._highest]]
        return float((each * of[self._highest]).sum() / max(each.sum(), 1e-300))

    @cached_property
    def _begins(self) -> tuple[Ints, Ints]:
        """(n,) each, by row: where its run of equal scores begins and ends, counted from the highest."""
        order, ends = self._steps
        lengths = np.diff(ends, prepend=-1)
        begin, end = np.empty((2, len(order)), dtype=np.int64)
        begin[order], end[order] = np.repeat(ends + 1 - lengths, lengths), np.repeat(ends + 1, lengths)
        return begin, end

    @cached_property
    def _bins(self) -> Ints:
        """(n,) equal scores share a bin."""
        begin, end = self._begins
        return (begin + end - 1) * BINS // (2 * len(begin))

    @cached_property
    def _highest(self) -> Ints:
        begin, _ = self._begins
        return np.flatnonzero(begin < max(TOP_SHARE * len(begin), 1))

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


Metric = Callable[[Floats | None], float]


def gain(scored: Scored, base: Scored, seed: int, resamples: int = RESAMPLES) -> dict[str, Measured]:
    """In AUC and AP over another score of the same orders, both judged on the same resamples."""
    pairs = {"auc": (scored.auc, base.auc), "ap": (scored.average_precision, base.average_precision)}
    return _measured({name: _less(*pair) for name, pair in pairs.items()}, scored, seed, resamples)


def measure(scored: Scored, seed: int, resamples: int = RESAMPLES) -> dict[str, Measured]:
    """AUC, AP and CP@100 with bootstrap intervals; the same seed gives the same intervals."""
    return _measured(_ranking(scored), scored, seed, resamples)


def measure_all(scored: Scored, seed: int, resamples: int = RESAMPLES) -> dict[str, Measured]:
    """As `measure`, with recall at 1 % false positives and how well scores hold as probabilities."""
    metrics = _ranking(scored) | {
        "recall": scored.recall,
        "calibration": scored.calibration_error,
        "top_gap": scored.top_gap,
        "top_rate": scored.top_rate,
    }
    return _measured(metrics, scored, seed, resamples)


def _ranking(scored: Scored) -> dict[str, Metric]:
    return {"auc": scored.auc, "ap": scored.average_precision, f"cp{TOP_CARDS}": scored.card_precision}


def _less(ours: Metric, theirs: Metric) -> Metric:
    return lambda draw: ours(draw) - theirs(draw)


def _measured(metrics: Mapping[str, Metric], scored: Scored, seed: int, resamples: int) -> dict[str, Measured]:
    drawn = [[of(draw) for of in metrics.values()] for draw in _draws(scored, seed, resamples)]
    values = zip(*drawn, strict=True)
    return {
        name: Measured(of(None), *_interval(list(v))) for (name, of), v in zip(metrics.items(), values, strict=True)
    }


def _draws(scored: Scored, seed: int, resamples: int) -> Iterator[Floats]:
    """For each resample how often each card is in it: as many cards, drawn with replacement.

    Where frauds are those of few cards, one may have none of them: it says nothing and is drawn again.
    """
    rng, cards, bad = np.random.default_rng(seed), scored.cards, np.unique(scored.card[scored.fraud])
    if not len(bad) or scored.fraud.all():
        raise ValueError(
            f"{int(scored.fraud.sum())} frauds among {len(scored.fraud)} orders: want some of both to judge"
        )
    while resamples:
        draw = np.bincount(rng.integers(0, cards, cards), minlength=cards).astype(np.float64)
        if draw[bad].any():
            resamples -= 1
            yield draw


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
