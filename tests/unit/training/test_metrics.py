"""Metrics: equal to their definitions, and intervals that hold what they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.metrics import Scored, gain, measure


def scored(n: int = 400, seed: int = 5, cards: int = 60, signal: float = 1.0) -> Scored:
    rng = np.random.default_rng(seed)
    fraud = rng.random(n) < 0.2
    score = np.round(rng.normal(signal * fraud, 1), 1)  # rounded, so that there are ties
    return Scored(score, fraud, rng.integers(0, cards, n), rng.integers(0, 3, n))


@pytest.mark.parametrize("seed", range(5))
def test_auc_and_average_precision_are_those_of_scikit_learn(seed: int) -> None:
    theirs = pytest.importorskip("sklearn.metrics", reason="scikit-learn is of the extra `train`")
    ours = scored(seed=seed)
    assert ours.auc() == pytest.approx(theirs.roc_auc_score(ours.fraud, ours.score))
    assert ours.average_precision() == pytest.approx(theirs.average_precision_score(ours.fraud, ours.score))


def naive_card_precision(of: Scored, k: int) -> float:
    """The Handbook's loop, in dictionaries."""
    caught: set[int] = set()
    shares = []
    for day in sorted(set(of.day.tolist())):
        best: dict[int, float] = {}
        bad: set[int] = set()
        for score, fraud, card, at in zip(of.score, of.fraud, of.card.tolist(), of.day, strict=True):
            if at == day and card not in caught:
                best[card] = max(score, best.get(card, -np.inf))
                bad |= {card} if fraud else set()
        hits = set(sorted(best, key=lambda card: (-best[card], card))[:k]) & bad
        shares.append(len(hits) / k)
        caught |= hits
    return sum(shares) / len(shares)


@settings(deadline=None)
@given(seed=st.integers(0, 1000), k=st.integers(1, 80))
def test_card_precision_is_that_of_the_handbook(seed: int, k: int) -> None:
    of = scored(seed=seed, n=150)
    assert of.card_precision(k=k) == pytest.approx(naive_card_precision(of, k))


def test_a_card_of_weight_two_is_the_same_as_the_card_twice() -> None:
    of = scored()
    twice = np.concatenate([np.arange(400), np.flatnonzero(of.card == 7)])
    weight = np.where(np.arange(of.cards) == 7, 2.0, 1.0)
    doubled = Scored(of.score[twice], of.fraud[twice], of.card[twice], of.day[twice])
    assert of.auc(weight) == pytest.approx(doubled.auc())
    assert of.average_precision(weight) == pytest.approx(doubled.average_precision())


def test_a_card_of_weight_none_is_the_same_as_no_card() -> None:
    of = scored()
    weight = np.where(np.arange(of.cards) == 7, 0.0, 1.0)
    without = of.card != 7
    left = Scored(of.score[without], of.fraud[without], of.card[without], of.day[without])
    assert of.average_precision(weight) == pytest.approx(left.average_precision())
    assert of.card_precision(weight, k=9) == pytest.approx(left.card_precision(k=9))


def test_a_perfect_score_is_perfect_and_its_opposite_is_not() -> None:
    fraud = np.array([False, True, False, True])
    for sign, auc in ((1.0, 1.0), (-1.0, 0.0)):
        assert Scored(sign * fraud, fraud, np.arange(4), np.zeros(4, dtype=np.int64)).auc() == auc


def test_one_score_for_all_knows_nothing() -> None:
    fraud = np.array([False, True, False, True])
    of = Scored(np.zeros(4), fraud, np.arange(4), np.zeros(4, dtype=np.int64))
    assert (of.auc(), of.average_precision()) == (0.5, 0.5)


def test_intervals_hold_the_value_and_repeat_with_their_seed() -> None:
    first, again = (measure(scored(), seed=3, resamples=100) for _ in range(2))
    assert first == again
    assert list(first) == ["auc", "ap", "cp100"]
    assert all(one.low < one.value < one.high for one in (first["auc"], first["ap"]))


def test_a_gain_over_oneself_is_none_and_over_less_signal_is_some() -> None:
    strong, weak = scored(n=2000, signal=3.0), scored(n=2000, signal=0.2)
    weak = Scored(weak.score, strong.fraud, strong.card, strong.day)
    assert [one.value for one in gain(strong, strong, seed=1, resamples=20).values()] == [0, 0]
    assert all(one.low > 0 for one in gain(strong, weak, seed=1, resamples=100).values())
