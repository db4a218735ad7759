"""Half-Space Trees: River's scores, and which features make a vector unusual."""

from __future__ import annotations

import numpy as np
import pytest

from models.documents import ArtefactError
from models.exact import log2_line
from models.half_space import HalfSpace
from training.online.half_space import HalfSpaceLearner, HalfSpaceSettings

NAMES = ("clicks", "pace", "items")


def sessions(n: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.poisson(12, n), rng.lognormal(2, 0.4, n), rng.poisson(3, n)]).astype(np.float64)


@pytest.fixture(scope="module")
def learner() -> HalfSpaceLearner:
    made = HalfSpaceLearner(NAMES, seed=5, settings=HalfSpaceSettings(trees=30, height=6, window=400))
    made.learn_many(sessions(2000), np.zeros(2000, dtype=np.bool_))
    return made


def test_a_snapshot_scores_as_river_does(learner: HalfSpaceLearner) -> None:
    scaler, _, trees = learner.model
    x = np.concatenate([sessions(300, seed=2), [[5000.0, 0.0, 900.0]]])
    cases = [dict(zip(NAMES, row, strict=True)) for row in log2_line(x).tolist()]
    expected = [trees.score_one(scaler.transform_one(case)) for case in cases]
    assert learner.scorer(NAMES).score(x) == pytest.approx(expected, abs=1e-6)


def test_before_the_first_window_nothing_is_unusual() -> None:
    made = HalfSpaceLearner(NAMES, settings=HalfSpaceSettings(window=400))
    made.learn_many(sessions(399), np.zeros(399, dtype=np.bool_))
    scorer = made.scorer(NAMES)
    assert not scorer.score(sessions(20)).any()
    assert not scorer.unusual(sessions(20)).any()
    assert HalfSpace.of(scorer.files(), NAMES).files() == scorer.files()


@pytest.mark.parametrize(("column", "value"), [(0, 400.0), (1, 0.01), (2, 60.0)])
def test_the_feature_that_is_unusual_is_named_first(learner: HalfSpaceLearner, column: int, value: float) -> None:
    usual = np.array([[12.0, 7.4, 3.0]])
    odd = usual.copy()
    odd[0, column] = value
    scorer = learner.scorer(NAMES)
    assert scorer.score(odd)[0] > scorer.score(usual)[0]
    ((named, *_),) = scorer.most_unusual(odd)
    assert named[0] == NAMES[column]
    assert named[1] > 0.2 > max(scorer.unusual(usual)[0])


def test_known_frauds_are_not_learned_as_usual(learner: HalfSpaceLearner) -> None:
    before = learner.scorer(NAMES).files()
    learner.learn_many(sessions(900, seed=8) * 50, np.ones(900, dtype=np.bool_))
    assert learner.scorer(NAMES).files() == before


def test_usual_is_in_the_unit_of_the_feature(learner: HalfSpaceLearner) -> None:
    assert learner.scorer(NAMES).usual == pytest.approx([12, 7.4, 3], rel=0.15)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"window": 400', b'"window": -1', "window = -1"),
        (b'"window": 400', b'"window": 0', "trees for a window of 0"),
        (b'"span": [', b'"span": [1.0, ', "span has 4 values"),
        (b'"feature": [[', b'"feature": [[9, ', "trees of 64 halvings"),
        (b'"mass": [[', b'"mass": [[1, ', "whole numbers"),
    ],
)
def test_a_file_that_is_no_trees_is_refused(learner: HalfSpaceLearner, old: bytes, new: bytes, why: str) -> None:
    files = {name: content.replace(old, new, 1) for name, content in learner.scorer(NAMES).files().items()}
    with pytest.raises(ArtefactError, match=why):
        HalfSpace.of(files, NAMES)
