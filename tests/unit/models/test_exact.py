"""Logarithm and logistic curve: near the true ones, and the same bits everywhere."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.exact import inverse_log2_line, log, log2_line, logistic, logit, softplus

finite = st.floats(-1e15, 1e15)


@settings(deadline=None)
@given(x=finite)
def test_the_line_never_leaves_the_logarithm_by_more_than_mitchell_says(x: float) -> None:
    line = float(log2_line(np.array([x]))[0])
    assert abs(abs(line) - math.log2(1 + abs(x))) < 0.0861
    assert line == 0 or (line > 0) == (x > 0)


@settings(deadline=None)
@given(x=finite, y=finite)
def test_the_line_never_falls(x: float, y: float) -> None:
    low, high = log2_line(np.array([min(x, y), max(x, y)])).tolist()
    assert low <= high


@pytest.mark.parametrize("octave", [0, 1, 2, 10, 40])
def test_the_line_is_exact_at_powers_of_two(octave: int) -> None:
    assert log2_line(np.array([2.0**octave - 1, 1 - 2.0**octave])).tolist() == [octave, -octave]


@settings(deadline=None)
@given(x=st.floats(-1e9, 1e9))
def test_the_inverse_undoes_the_line(x: float) -> None:
    assert inverse_log2_line(float(log2_line(np.array([x]))[0])) == pytest.approx(x, rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(z=st.floats(-1e6, 1e6))
def test_the_curve_is_the_logistic_curve(z: float) -> None:
    true = 1 / (1 + math.exp(-z)) if z > -700 else 0.0
    assert float(logistic(np.array([z]))[0]) == pytest.approx(true, rel=0, abs=1e-15)


@settings(deadline=None)
@given(rows=st.lists(finite, min_size=1, max_size=40), cut=st.integers(0, 40))
def test_a_value_does_not_depend_on_its_neighbours(rows: list[float], cut: int) -> None:
    x = np.array(rows)
    for curve in (log2_line, logistic):
        whole, parts = curve(x), np.concatenate([curve(x[:cut]), curve(x[cut:])])
        assert whole.tobytes() == parts.tobytes()


def test_the_bits_are_those_written_down() -> None:
    """A CPU that computes others is found out. With AVX2 and AVX-512 off they are these too; numpy.exp's are not."""
    x = np.concatenate([np.arange(-3000, 3000) / 7.0, np.ldexp(1.5, np.arange(-80, 80))])
    assert hashlib.sha256(log2_line(x).tobytes()).hexdigest()[:16] == "a114b4bbbccb4e59"
    assert hashlib.sha256(logistic(x / 10).tobytes()).hexdigest()[:16] == "047425ea4cde2f0a"
    assert hashlib.sha256(log(x[x > 0]).tobytes()).hexdigest()[:16] == "76373456c133fadd"
    assert hashlib.sha256(softplus(x / 10).tobytes()).hexdigest()[:16] == "33f5066a1329e354"


@settings(deadline=None)
@given(x=st.floats(5e-324, 1e308))
def test_the_natural_logarithm_is_the_true_one(x: float) -> None:
    assert float(log(np.array([x]))[0]) == pytest.approx(math.log(x), rel=1e-15, abs=1e-15)


@settings(deadline=None)
@given(p=st.floats(5e-7, 1 - 5e-7))
def test_the_logistic_curve_undoes_log_odds(p: float) -> None:
    assert float(logistic(logit(np.array([p])))[0]) == pytest.approx(p, rel=1e-13)


@settings(deadline=None)
@given(x=st.floats(-500, 500))
def test_softplus_is_the_true_one(x: float) -> None:
    assert float(softplus(np.array([x]))[0]) == pytest.approx(np.logaddexp(0, x), rel=1e-14, abs=1e-15)
