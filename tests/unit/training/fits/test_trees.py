"""Fitting trees: what comes out is what the library says, again and again the same, and ends when it is told."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import lightgbm
import numpy as np
import pytest

from models.exact import Floats
from tests.support.grown import READ, purchases
from training.fits import boosted, forest, isolation
from training.fits.boosted import Boosting
from training.fits.forest import Growing
from training.fits.isolation import Cutting
from training.fits.progress import Step
from training.fits.scikit_trees import for_float64

ensemble: Any = import_module("sklearn.ensemble")
X, FRAUD = purchases()
LATER = purchases(800, seed=6)
FITS: Final[dict[str, Callable[..., Any]]] = {
    "boosted": lambda **more: boosted.fit(
        X, FRAUD, READ, **{"seed": 1, "options": Boosting(trees=30, leaves=7), **more}
    ),
    "forest": lambda **more: forest.fit(X, FRAUD, READ, **{"seed": 1, "options": Growing(trees=25, depth=6), **more}),
    "isolation": lambda **more: isolation.fit(X, FRAUD, READ, **{"seed": 1, "options": Cutting(trees=25), **more}),
}


@pytest.fixture(params=sorted(FITS))
def fit(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return FITS[request.param]


def test_the_same_data_and_seed_give_the_same_files(fit: Callable[..., Any]) -> None:
    assert fit().files() == fit().files()
    assert fit(seed=2).files() != fit().files()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("boosted", [Boosting(trees=30, leaves=7, threads=threads) for threads in (1, 3)]),
        ("forest", [Growing(trees=25, depth=6, threads=threads) for threads in (1, 3)]),
        ("isolation", [Cutting(trees=25, threads=threads) for threads in (1, 3)]),
    ],
)
def test_the_number_of_threads_does_not_matter(name: str, options: list[Any]) -> None:
    one, three = (FITS[name](options=chosen).files() for chosen in options)
    assert one == three


def test_what_is_usual_is_the_median(fit: Callable[..., Any]) -> None:
    fitted = fit()
    rows = X[~FRAUD] if fitted.kind == "isolation" else X
    medians = dict(zip(READ, np.median(rows, axis=0), strict=True))
    assert fitted.usual == pytest.approx([medians[name] for name in fitted.reads], rel=1e-5)


def test_a_fit_tells_of_its_steps_and_ends_where_it_is_told(fit: Callable[..., Any]) -> None:
    told: list[Step] = []

    def progress(step: Step) -> bool:
        told.append(step)
        return step.done < 10

    whole, cut = fit(), fit(progress=progress)
    assert told[-1].done == 10
    assert told[-1].total in (25, 30)
    assert sum(map(len, cut.files().values())) < sum(map(len, whole.files().values()))


def test_boosting_and_forests_need_frauds_and_goods() -> None:
    for fit in (boosted.fit, forest.fit):
        for fraud in (np.zeros(len(X), np.bool_), np.ones(len(X), np.bool_)):
            with pytest.raises(ValueError, match="frauds among 2000 orders: want some of both"):
                fit(X, fraud, READ, seed=1)
    with pytest.raises(ValueError, match="0 frauds among 10 orders"):
        boosted.fit(X, FRAUD, READ, seed=1, validation=(X[:10], np.zeros(10, np.bool_)))
    with pytest.raises(ValueError, match="0 orders: want two or more"):
        isolation.fit(X, np.ones(len(X), np.bool_), READ, seed=1)


def test_boosting_ends_when_a_later_slice_gets_no_better() -> None:
    told: list[Step] = []

    def progress(step: Step) -> bool:
        told.append(step)
        return True

    options = Boosting(trees=400, leaves=31, rate=0.3, least_rows=5, patience=10)
    fitted = boosted.fit(X, FRAUD, READ, seed=1, options=options, validation=LATER, progress=progress)
    losses = [step.loss for step in told if step.loss is not None]
    best = int(np.argmin(losses)) + 1
    assert len(told) == best + options.patience < 400
    assert lightgbm.Booster(model_str=fitted.files()["model.txt"].decode()).num_trees() == best
    score = np.clip(fitted.score(LATER[0]), 1e-6, 1 - 1e-6)
    assert -np.log(np.where(LATER[1], score, 1 - score)).mean() == pytest.approx(min(losses), abs=1e-4)


@pytest.mark.parametrize("weight", [1.0, 5.0])
def test_a_forest_scores_what_scikit_learn_says(weight: float) -> None:
    """Also where values lie on its thresholds, beside them, or beyond float32's precision."""
    fitted = FITS["forest"](options=Growing(trees=25, depth=6, fraud_weight=weight))
    theirs = ensemble.RandomForestClassifier(
        25,
        max_depth=6,
        min_samples_leaf=5,
        random_state=1,
        class_weight=None if weight == 1 else {False: 1.0, True: weight},
    ).fit(X, FRAUD)
    thresholds = np.concatenate([tree.tree_.threshold[tree.tree_.feature >= 0] for tree in theirs.estimators_])
    for x in (X, near(thresholds), purchases(500, seed=9)[0] * (1 + 1e-9)):
        assert fitted.score(x) == pytest.approx(theirs.predict_proba(x)[:, 1], abs=5.1e-7)


def test_an_isolation_forest_scores_what_scikit_learn_says() -> None:
    fitted = FITS["isolation"](options=Cutting(trees=25, goods_only=False))
    theirs = ensemble.IsolationForest(n_estimators=25, max_samples=256, random_state=1).fit(X)
    thresholds = np.concatenate([tree.tree_.threshold[tree.tree_.feature >= 0] for tree in theirs.estimators_])
    for x in (X, near(thresholds), X * 1000.0):
        assert fitted.score(x) == pytest.approx(-theirs.score_samples(x), abs=5.1e-7)


def test_an_isolation_forest_learns_from_good_orders() -> None:
    only = isolation.fit(X[~FRAUD], FRAUD[~FRAUD], READ, seed=1, options=Cutting(trees=25))
    assert FITS["isolation"]().files() == only.files()


def near(thresholds: Floats) -> Floats:
    """(n, 3) the thresholds, and what is just beside them as a float64 and as a float32."""
    single = thresholds.astype(np.float32)
    beside = [np.nextafter(single, np.float32(side)).astype(np.float64) for side in (-np.inf, np.inf)]
    middles = [(side + single) / 2 for side in beside]
    off_middle = [np.nextafter(middle, side) for middle in middles for side in (-np.inf, np.inf)]
    some: list[Floats] = [thresholds, single.astype(np.float64), *beside, *middles, *off_middle]
    return np.repeat(np.concatenate(some)[:, None], 3, axis=1)


def test_a_threshold_moves_to_where_float64_says_what_float32_says() -> None:
    rng = np.random.default_rng(4)
    thresholds = np.concatenate([rng.normal(size=2000), rng.lognormal(0, 20, 2000), [0.0, -0.0, 0.5, 1e-40, -1e-45]])
    moved = for_float64(thresholds)
    x = near(thresholds)[:, 0].reshape(-1, len(thresholds))
    assert ((x.astype(np.float32) <= thresholds) == (x <= moved)).all()


def test_parts_of_float32_that_no_threshold_reaches_are_told_apart() -> None:
    x = np.array([[0.1, 0, 0], [np.nextafter(0.1, 1), 0, 0]])
    assert FITS["forest"]().score(x)[0] == FITS["forest"]().score(x)[1]
