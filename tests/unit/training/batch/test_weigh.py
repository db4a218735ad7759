"""Weights and calibrations: what is known is found, and what is hardly known is not believed."""

from __future__ import annotations

import numpy as np
import pytest

from features.columns import Floats
from models.calibration import Beta, Lines
from training.batch.nonnegative import fitted
from training.batch.weigh import calibration, log_odds, weights
from training.metrics import Bools


def drawn(n: int, *, slope: float = 1.0, shift: float = 0.0, seed: int = 1, mean: float = -3.0) -> tuple[Floats, Bools]:
    """(n,) raw log-odds and frauds whose true log-odds are slope * raw + shift."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(mean, 1.5, n)
    return raw, rng.random(n) < 1 / (1 + np.exp(-(slope * raw + shift)))


def risk(raw: Floats) -> Floats:
    return 1 / (1 + np.exp(-raw))


def test_the_truth_is_found_where_there_is_enough_of_it() -> None:
    raw, fraud = drawn(50_000, slope=0.6, shift=-1.0)
    weight, bias = fitted(raw[:, None], fraud, np.ones(1), 1.0)
    assert (float(weight[0]), bias) == pytest.approx((0.6, -1.0), abs=0.06)


def test_a_weight_that_would_be_negative_is_none() -> None:
    raw, fraud = drawn(5_000)
    weight, _ = fitted(np.column_stack([raw, -raw]), fraud, np.array([0.5, 0.5]), 1.0)
    assert (weight >= 0).all()
    assert weight[1] == pytest.approx(0, abs=0.3)


def test_with_few_frauds_weights_stay_near_equal_ones() -> None:
    def noise(n: int) -> float:
        raw, fraud = drawn(n, mean=-2.0)
        other = np.random.default_rng(9).normal(-3, 1.5, n)
        return weights({"good": risk(raw), "noise": risk(other)}, fraud).of["noise"]

    assert noise(30) > 0.2
    assert noise(40_000) < 0.05


def test_a_member_that_never_saw_a_label_must_earn_its_weight() -> None:
    raw, fraud = drawn(300)
    noise = np.random.default_rng(9).normal(0, 1.5, 300)
    found = weights({"good": risk(raw), "isolation": risk(noise)}, fraud, frozenset({"isolation"}))
    assert found.of["isolation"] < 0.2


def test_a_blend_of_one_is_that_one() -> None:
    raw, fraud = drawn(100)
    assert (weights({"one": risk(raw)}, fraud).of, weights({"one": risk(raw)}, fraud).bias) == ({"one": 1.0}, 0.0)


@pytest.mark.parametrize(("n", "kind"), [(150, "shift"), (1_000, "platt"), (4_000, "beta"), (40_000, "lines")])
def test_a_calibration_is_as_rich_as_there_are_frauds_and_holds(n: int, kind: str) -> None:
    raw, fraud = drawn(n, slope=0.7, shift=-0.5)
    found = calibration(raw, fraud)
    assert isinstance(found, Lines if kind == "lines" else Beta)
    if isinstance(found, Beta):
        assert (found.below == found.above) == (kind in ("shift", "platt"))
        assert (found.below == 1.0) == (kind == "shift")
    later, truth = drawn(200_000, slope=0.7, shift=-0.5, seed=2)
    told = risk(found.logit(later))
    assert told.mean() == pytest.approx(truth.mean(), rel=0.35)
    top = later > np.quantile(later, 0.99)
    assert told[top].mean() == pytest.approx(truth[top].mean(), rel=0.6 if kind == "shift" else 0.25)


def test_no_frauds_calibrate_nothing() -> None:
    assert calibration(np.zeros(10), np.zeros(10, np.bool_)) == Beta()


def test_numbers_are_short() -> None:
    raw, fraud = drawn(4_000)
    found = calibration(raw, fraud)
    assert isinstance(found, Beta)
    assert all(float(f"{one:.6g}") == one for one in (found.below, found.above, found.shift))


def test_log_odds_of_none_and_all_are_finite() -> None:
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()
