"""Our parts of the forest beside River's own: the same answers."""

from __future__ import annotations

import random
from typing import Any

import pytest
from river.forest import ARFClassifier
from river.tree.split_criterion import InfoGainSplitCriterion

from tests.unit.training.online.cases import NAMES, vectors
from training.online.adwin import Adwin
from training.online.coding import codes
from training.online.splitter import BinSplitter
from training.online.trees import LoopBranch, LoopForest

river_criterion: Any = InfoGainSplitCriterion  # it has no types


def forest(made: type[Any]) -> Any:
    return made(
        n_models=3,
        grace_period=30,
        leaf_prediction="mc",
        splitter=BinSplitter(16),
        drift_detector=Adwin(0.001),
        warning_detector=Adwin(0.01),
        seed=4,
    )


def test_a_forest_walked_in_loops_is_rivers() -> None:
    ours, rivers = forest(LoopForest), forest(ARFClassifier)
    x, fraud = vectors(1500)
    for row, bad in zip(codes(x).tolist(), fraud.tolist(), strict=True):
        case = dict(zip(NAMES, row, strict=True))
        assert ours.predict_proba_one(case) == rivers.predict_proba_one(case)
        ours.learn_one(case, int(bad))
        rivers.learn_one(case, int(bad))
    assert type(ours.data[0]._root) is LoopBranch


@pytest.mark.parametrize("seed", range(20))
def test_the_best_threshold_is_the_one_that_rivers_criterion_finds(seed: int) -> None:
    rng = random.Random(seed)
    splitter, criterion = BinSplitter(1000), river_criterion(0.01)
    counts = {0: 0.0, 1: 0.0}
    for _ in range(rng.randrange(20, 200)):
        code, weight = rng.randrange(12), float(rng.randrange(1, 7))
        bad = int(rng.random() < (0.2 if code < 7 else 0.6))
        splitter.update(code, bad, weight)
        counts[bad] += weight
    found: Any = splitter.best_evaluated_split_suggestion(criterion, counts, "a", True)
    merits = {}
    for cut in range(11):
        sides: Any = [{0: 0.0, 1: 0.0}, {0: 0.0, 1: 0.0}]
        for bad, of in enumerate((splitter.goods, splitter.frauds)):
            for code, count in of.items():
                sides[code > cut][bad] += count
        merits[cut] = criterion.merit_of_split(counts, sides)
    assert found.merit == pytest.approx(max(merits.values()))
    assert merits[found.split_info] == pytest.approx(found.merit)
    assert splitter.cond_proba(3, 0) == pytest.approx(splitter.goods.get(3, 0.0) / counts[0])


def test_values_that_are_all_one_cannot_be_split() -> None:
    splitter = BinSplitter()
    splitter.update(3, 0, 5.0)
    splitter.update(3, 1, 5.0)
    criterion = river_criterion(0.01)
    assert splitter.best_evaluated_split_suggestion(criterion, {0: 5.0, 1: 5.0}, "a", True).feature is None
