"""Fitting the logistic model: what it finds, and what may not lead it astray."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from models.exact import Floats, log2_line
from streams.learner.window import log_loss
from training.fits.logistic import fit, newton
from training.fits.progress import Step

NAMES = ("a", "idle", "b")


def sample(n: int = 4000, seed: int = 7) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Frauds have larger `a` and smaller `b`; `idle` never varies."""
    rng = np.random.default_rng(seed)
    fraud = rng.random(n) < 0.1
    x = np.column_stack([rng.lognormal(3 + fraud, 1), np.zeros(n), rng.normal(-2.0 * fraud, 2)])
    return x, fraud


def test_an_input_that_never_varies_is_left_out_and_does_no_harm() -> None:
    x, fraud = sample()
    fitted = fit(x, fraud, NAMES)
    assert [one.name for one in fitted.inputs] == ["a", "b"]
    with_idle = x.copy()
    with_idle[:, 1] = 1e9
    assert fitted.score(with_idle).tobytes() == fitted.score(x).tobytes()


def test_a_range_ends_where_few_owners_went_however_often_they_did() -> None:
    """One dear purchase is the largest of a month in all orders after it: many rows, and still one account."""
    x, fraud = sample()
    x[:500, 0] = 1e6
    everyone = np.arange(len(x))
    one = fit(x, fraud, NAMES, owner=np.where(everyone < 500, 0, everyone))
    many = fit(x, fraud, NAMES, owner=everyone)
    assert one.inputs[0].high < 1_000 < many.inputs[0].high == 1e6
    at_end, beyond = np.array([[one.inputs[0].high, 0, 0], [1e6, 0, 0]])
    assert one.score(beyond[None]) == one.score(at_end[None])


def test_fitting_finds_what_scikit_learn_finds() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is of the extra `train`")
    x, fraud = sample()
    z = log2_line(x[:, [0, 2]])
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    whole = np.column_stack([z, np.ones(len(z))])
    weight, bias = newton(lambda: iter([(slice(None), whole.copy())]), fraud.astype(np.float64), l2=2.0)
    theirs = linear_model.LogisticRegression(C=0.5, tol=1e-10).fit(z, fraud)
    assert weight == pytest.approx(theirs.coef_[0], abs=1e-5)
    assert bias == pytest.approx(theirs.intercept_[0], abs=1e-5)


def test_a_fit_scores_frauds_higher() -> None:
    x, fraud = sample()
    score = fit(x, fraud, NAMES).score(x)
    assert score[fraud].mean() > 3 * score[~fraud].mean()
    assert score.mean() == pytest.approx(fraud.mean(), abs=0.01)


def test_a_perfect_split_still_has_a_finite_fit() -> None:
    x = np.array([[0.0, 0, 0]] * 20 + [[1000.0, 0, 0]] * 20)
    fitted = fit(x, x[:, 0] > 0, NAMES)
    assert all(math.isfinite(one.weight) for one in fitted.inputs)


@pytest.mark.parametrize("fraud", [np.zeros(5, dtype=np.bool_), np.ones(5, dtype=np.bool_)])
def test_one_class_alone_cannot_be_fitted(fraud: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
    with pytest.raises(ValueError, match="frauds among 5 orders: want some of both"):
        fit(np.zeros((5, 3)), fraud, NAMES)


def test_a_fit_is_the_same_twice() -> None:
    x, fraud = sample()
    assert fit(x, fraud, NAMES).inputs == fit(x, fraud, NAMES).inputs


def test_bends_find_what_a_straight_line_cannot() -> None:
    x = np.random.default_rng(3).uniform(1, 100, (4000, 1))
    fraud = x[:, 0] > 95
    straight, bent = (fit(x, fraud, ["a"], bends=bends) for bends in ((), (0.9, 0.95)))
    assert bent.score(x)[~fraud].max() < straight.score(x)[~fraud].max() + 1e-6
    assert bent.score(x)[fraud].mean() > straight.score(x)[fraud].mean() + 0.1


def test_one_that_is_ended_at_once_knows_the_share_of_frauds_alone() -> None:
    x, fraud = sample()
    ended = fit(x, fraud, NAMES, progress=never)
    assert [one.weight for one in ended.inputs] == [0.0, 0.0]
    assert ended.score(x) == pytest.approx(fraud.mean(), abs=1e-5)


def test_one_that_is_ended_within_a_step_is_as_good_as_the_last_whole_one() -> None:
    x, fraud = sample()
    told = list[Step]()

    def three(step: Step) -> bool:
        told.append(step)
        return step.done < 3

    ended, whole = fit(x, fraud, NAMES, progress=three), fit(x, fraud, NAMES)
    assert {step.done for step in told} == {0, 1, 2, 3}
    few, all_, none = (log_loss(one.score(x), fraud) for one in (ended, whole, fit(x, fraud, NAMES, progress=never)))
    assert all_ < few < none


def never(step: Step) -> bool:
    del step
    return False


def test_a_fit_needs_little_beside_its_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than a copy of them, where one that makes all inputs at once holds four."""
    monkeypatch.setattr("training.fits.logistic.ROWS", 128)
    rng = np.random.default_rng(1)
    x, fraud = rng.lognormal(1, 1, (4_000, 96)), rng.random(4_000) < 0.1
    tracemalloc.start()
    fit(x, fraud, [f"c{n}" for n in range(96)], owner=rng.integers(0, 800, 4_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.7 * x.nbytes
