"""Calibrations: none ever falls, and what they are said to be they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calibration import UNCHANGED, Beta, Calibration, Lines, calibration_of
from models.documents import ArtefactError

numbers = st.floats(-40, 40)
slopes = st.floats(0, 5)
betas = st.builds(Beta, slopes, slopes, st.floats(-10, 10))
lines = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=8).map(
    lambda steps: Lines(*(tuple((np.cumsum(s) / 10 - 8).tolist()) for s in zip(*steps, strict=True)))
)
either: st.SearchStrategy[Calibration] = st.one_of(betas, lines)


def of(calibration: Calibration, raw: float) -> float:
    return float(calibration.logit(np.array([raw]))[0])


@settings(deadline=None)
@given(calibration=either, one=numbers, other=numbers)
def test_a_calibration_never_falls(calibration: Calibration, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert of(calibration, low) <= of(calibration, high) + 1e-12


@settings(deadline=None)
@given(raw=numbers)
def test_one_that_changes_nothing_changes_nothing(raw: float) -> None:
    assert of(UNCHANGED, raw) == pytest.approx(raw, abs=1e-13)


@settings(deadline=None)
@given(raw=numbers, slope=slopes, shift=numbers)
def test_equal_slopes_are_a_line(raw: float, slope: float, shift: float) -> None:
    assert of(Beta(slope, slope, shift), raw) == pytest.approx(slope * raw + shift, abs=1e-12)


@settings(deadline=None)
@given(raw=st.floats(-20, 20), calibration=betas)
def test_beta_is_the_one_of_the_paper(raw: float, calibration: Beta) -> None:
    score = 1 / (1 + math.exp(-raw))
    paper = calibration.below * math.log(score) - calibration.above * math.log1p(-score) + calibration.shift
    assert of(calibration, raw) == pytest.approx(paper, abs=1e-6)


def test_lines_go_through_their_points_and_on_beyond_them() -> None:
    calibration = Lines((-4.0, 0.0, 2.0), (-5.0, -1.0, -1.0))
    raw = np.array([-6.0, -4.0, -2.0, 0.0, 1.0, 2.0, 5.0])
    assert calibration.logit(raw).tolist() == [-7.0, -5.0, -3.0, -1.0, -1.0, -1.0, 2.0]


@given(calibration=either)
def test_what_is_written_is_what_is_read(calibration: Calibration) -> None:
    assert calibration_of(calibration.document(), "here") == calibration


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (None, "kind None: want 'beta' or 'lines'"),
        ({"kind": "spline"}, "kind 'spline': want 'beta' or 'lines'"),
        ({"kind": "beta", "below": 1, "above": 1}, "shift = None: want a finite number"),
        ({"kind": "beta", "below": -1, "above": 1, "shift": 0}, "want 0 or more"),
        ({"kind": "beta", "below": 1, "above": 1e300, "shift": 0}, r"want -1000 to 1000"),
        ({"kind": "lines", "at": [], "to": []}, "want as many of both"),
        ({"kind": "lines", "at": [1, 1], "to": [1, 2]}, "want as many of both"),
        ({"kind": "lines", "at": [1, 2], "to": [2, 1]}, "`to` never falling"),
        ({"kind": "lines", "at": "12", "to": [2, 1]}, "want a list of numbers"),
    ],
)
def test_what_is_no_calibration_is_refused(document: Any, why: str) -> None:
    with pytest.raises(ArtefactError, match=why):
        calibration_of(document, "here")
