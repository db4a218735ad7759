"""The adaptive forest's snapshots: River's shares of frauds, in the features' own units."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from models.adaptive_forest import AdaptiveForest
from models.documents import ArtefactError
from models.inputs import Inputs
from tests.support.scorers import EXAMPLES
from tests.unit.training.online.cases import NAMES, vectors
from training.online.adaptive_forest import ForestLearner, ForestSettings
from training.online.coding import codes, threshold


def test_a_snapshot_scores_as_river_does() -> None:
    learner = ForestLearner(NAMES, seed=2, settings=ForestSettings(rate=0.4, trees=6, grace=30, smooth=0.0))
    learner.learn_many(*vectors(4000))
    x = vectors(500, seed=7)[0]
    trees = learner.model[1]
    cases = [dict(zip(NAMES, row, strict=True)) for row in codes(x).tolist()]
    shares = np.array([trees.predict_proba_one(case)[1] for case in cases])
    scorer = learner.scorer(NAMES)
    assert len(scorer.trees.value) > 30
    assert scorer.score(x) == pytest.approx(0.4 * shares / (0.4 * shares + 1 - shares), abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.05, 0.5, 1.0, 2.0, 219.99, 220.0, 1e6, -1.0, -250.0])
def test_a_value_is_at_most_the_threshold_of_its_code(value: float) -> None:
    code = int(codes(np.array([value]))[0])
    assert threshold(code - 1) < value <= threshold(code)


@pytest.mark.parametrize("rate", [0.0, 1.5, -1.0])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    files = EXAMPLES["adaptive_forest"](NAMES).files()
    document = json.loads(files["model.json"]) | {"rate": rate}
    with pytest.raises(ArtefactError, match=f"rate {rate:g}: want more than 0 and at most 1"):
        AdaptiveForest.of(files | {"model.json": json.dumps(document).encode()}, NAMES)


def test_a_leaf_that_is_no_share_is_refused() -> None:
    forest = EXAMPLES["adaptive_forest"](NAMES)
    assert isinstance(forest, AdaptiveForest)
    trees = replace(forest.trees, value=forest.trees.value + 1.0)
    with pytest.raises(ArtefactError, match="want shares of frauds, 0 to 1"):
        AdaptiveForest(trees, 0.5, Inputs(forest.reads, forest.usual), NAMES)


def test_the_odds_are_brought_down_by_what_was_not_learned() -> None:
    forest = EXAMPLES["adaptive_forest"](NAMES)
    assert isinstance(forest, AdaptiveForest)
    all_learned = AdaptiveForest(forest.trees, 1.0, Inputs(forest.reads, forest.usual), NAMES)
    x = vectors(100)[0]
    few, every = forest.score(x), all_learned.score(x)
    assert few / (1 - few) == pytest.approx(0.25 * every / (1 - every), rel=1e-4)
