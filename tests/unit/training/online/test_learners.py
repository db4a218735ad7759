"""What every online learner promises: it learns, it can be killed at any moment, and its snapshots are values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.kinds import KINDS
from tests.unit.training.online.cases import NAMES, vectors
from training.metrics import Scored
from training.online.learner import Learner, kinds, learner_of, of_state
from training.online.state import StateError

SMALL: dict[str, dict[str, Any]] = {
    "online_logistic": {"rate": 0.5},
    "adaptive_forest": {"rate": 0.5, "trees": 4, "grace": 30},
    "half_space": {"trees": 8, "height": 5, "window": 100},
    "sessions": {"trees": 8, "height": 5, "window": 100, "late": 150},
}


def fresh(kind: str, seed: int = 3) -> Learner:
    made = learner_of(kind)
    return made(NAMES, ("amount", "count", "risk"), seed=seed, settings=made.told(**SMALL[kind]))


def taught(kind: str, n: int, seed: int = 3) -> Learner:
    learner = fresh(kind, seed)
    learner.learn_many(*vectors(n))
    return learner


@pytest.fixture(params=kinds())
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_each_kind_has_a_scorer_of_its_name(kind: str) -> None:
    assert kind in KINDS
    assert fresh(kind).scorer(NAMES).kind == learner_of(kind).kind == kind


def test_who_was_taught_nothing_scores_all_alike(kind: str) -> None:
    score = fresh(kind).scorer(NAMES).score(vectors(50)[0])
    assert len(set(score.tolist())) == 1


@pytest.mark.parametrize(("kind", "least"), [("online_logistic", 0.8), ("adaptive_forest", 0.75), ("half_space", 0.5)])
def test_it_learns(kind: str, least: float) -> None:
    x, fraud = vectors(1500, seed=9)
    scored = Scored(taught(kind, 3000).scorer(NAMES).score(x), fraud, np.arange(1500), np.zeros(1500, dtype=np.int64))
    assert scored.auc() > least


@pytest.mark.parametrize("kind", ["online_logistic", "adaptive_forest"])
def test_scores_are_risks_though_few_goods_were_learned(kind: str) -> None:
    x, fraud = vectors(4000, seed=9)
    score = taught(kind, 6000).scorer(NAMES).score(x)
    assert score.mean() == pytest.approx(fraud.mean(), rel=0.25)


def test_one_by_one_is_many_at_once(kind: str) -> None:
    x, fraud = vectors(400)
    learner = fresh(kind)
    for row, bad in zip(x, fraud.tolist(), strict=True):
        learner.learn_one(row, bad)
    assert learner.state() == taught(kind, 400).state()


def test_killed_five_times_is_never_killed(kind: str) -> None:
    x, fraud = vectors(1200)
    learner = fresh(kind)
    for start in range(0, 1200, 240):
        learner = of_state(learner.state())
        learner.learn_many(x[start : start + 240], fraud[start : start + 240])
        learner.scorer(NAMES)  # nor does looking change it
    never = taught(kind, 1200)
    assert learner.state() == never.state()
    assert learner.scorer(NAMES).files() == never.scorer(NAMES).files()
    assert learner.seen == never.seen == 1200


def test_a_snapshot_does_not_learn(kind: str) -> None:
    learner, x = taught(kind, 800), vectors(200, seed=4)[0]
    scorer = learner.scorer(NAMES)
    before = scorer.score(x)
    learner.learn_many(*vectors(800, seed=5))
    assert scorer.score(x).tobytes() == before.tobytes()


def test_seeds_make_other_learners_and_equal_seeds_equal_ones(kind: str) -> None:
    assert taught(kind, 500).state() == taught(kind, 500).state()
    assert taught(kind, 500).state() != taught(kind, 500, seed=4).state()


def test_a_weight_counts_as_so_many_cases() -> None:
    x, fraud = vectors(300)
    goods, none, twice = ~fraud, fresh("half_space"), fresh("half_space")
    none.learn_many(x[goods], fraud[goods], np.zeros(int(goods.sum())))
    twice.learn_many(x[goods], fraud[goods], np.full(int(goods.sum()), 2.0))
    assert none.model[2].counter == 0
    assert twice.model[2].counter == 2 * int(goods.sum()) % 100


def test_a_column_that_is_not_there_is_named(kind: str) -> None:
    with pytest.raises(ValueError, match="column 'card': the vector has no such column"):
        learner_of(kind)(NAMES, ("card",))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="online model 'deep': there are online_logistic, adaptive_forest, half_space"):
        learner_of("deep")
    with pytest.raises(StateError, match="kind 'deep'"):
        of_state(b'{"kind": "deep"}')
