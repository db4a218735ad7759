"""Online logistic regression's snapshots: what River would say, its odds brought down, and parts that explain it."""

from __future__ import annotations

import numpy as np
import pytest

from models.exact import log2_line
from tests.unit.training.online.cases import NAMES, vectors
from training.online.logistic import LogisticLearner, LogisticSettings


@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_a_snapshot_scores_as_river_does(rate: float) -> None:
    learner = LogisticLearner(NAMES, seed=2, settings=LogisticSettings(rate=rate))
    learner.learn_many(*vectors(2000))
    x = np.concatenate([vectors(300, seed=7)[0], [[1e9, 7.0, 5e3, 1.0], [0.0, 7.0, 0.0, 0.0]]])
    told = [dict(zip(learner._inputs, learner._bent(row).tolist(), strict=True)) for row in log2_line(x)]
    river = np.array([learner.model[1].predict_proba_one(one)[True] for one in told])
    odds = rate * river / (1 - river)
    assert learner.scorer(NAMES).score(x) == pytest.approx(odds / (1 + odds), abs=2e-6)


def test_what_never_varied_is_left_out() -> None:
    learner = LogisticLearner(NAMES)
    learner.learn_many(*vectors(500))
    assert learner.scorer(NAMES).reads == ("amount", "count", "risk")


def test_the_dear_order_is_explained_by_its_amount() -> None:
    learner = LogisticLearner(NAMES)
    learner.learn_many(*vectors(4000))
    scorer = learner.scorer(NAMES)
    usual = np.zeros((1, len(NAMES)))
    usual[0, [NAMES.index(name) for name in scorer.reads]] = scorer.usual
    assert np.abs(scorer.contributions(usual)).max() < 1e-6
    usual[0, 0] *= 30
    parts = dict(zip(scorer.reads, scorer.contributions(usual)[0].tolist(), strict=True))
    assert parts["amount"] > 1 > abs(parts["count"]) + abs(parts["risk"])
