"""The adaptive forest's snapshots: River's shares of frauds, in the features' own units."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from models.adaptive_forest import LEAF, AdaptiveForest
from models.documents import ArtefactError
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
    assert len(scorer.nodes.value) > 30
    assert scorer.score(x) == pytest.approx(0.4 * shares / (0.4 * shares + 1 - shares), abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.05, 0.5, 1.0, 2.0, 219.99, 220.0, 1e6, -1.0, -250.0])
def test_a_value_is_at_most_the_threshold_of_its_code(value: float) -> None:
    code = int(codes(np.array([value]))[0])
    assert threshold(code - 1) < value <= threshold(code)


def changed(change: Any) -> dict[str, bytes]:
    files = EXAMPLES["adaptive_forest"](NAMES).files()
    document = json.loads(files["forest.json"])
    change(document)
    return {"forest.json": json.dumps(document).encode()}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d: d["left"].__setitem__(1, 0), "a branch leads to no node below it"),
        (lambda d: d["right"].__setitem__(0, 99), "a branch leads to no node below it"),
        (lambda d: d["right"].__setitem__(0, 1), "each node must be in one tree, once"),
        (lambda d: d["roots"].append(40), "each node must be in one tree, once"),
        (lambda d: d["roots"].append(LEAF), "each node must be in one tree, once"),
        (lambda d: d["feature"].__setitem__(0, 3), "past the 3"),
        (lambda d: d["feature"].__setitem__(0, 0.5), "want whole numbers"),
        (lambda d: d["value"].__setitem__(3, 1.5), "a value outside 0 to 1"),
        (lambda d: d["value"].pop(), "want as many of each"),
        (lambda d: d["usual"].pop(), "usual has 2 values: want 3"),
        (lambda d: d.update(rate=0), "rate = 0"),
        (lambda d: d.pop("reads"), "reads is missing"),
    ],
)
def test_a_file_that_is_no_forest_is_refused(change: Any, why: str) -> None:
    with pytest.raises(ArtefactError, match=why):
        AdaptiveForest.of(changed(change), NAMES)


def test_the_odds_are_brought_down_by_what_was_not_learned() -> None:
    forest = EXAMPLES["adaptive_forest"](NAMES)
    assert isinstance(forest, AdaptiveForest)
    all_learned = AdaptiveForest(forest.roots, forest.nodes, forest.reads, forest.usual, 1.0, NAMES)
    x = vectors(100)[0]
    few, every = forest.score(x), all_learned.score(x)
    assert few / (1 - few) == pytest.approx(0.25 * every / (1 - every), rel=1e-4)
