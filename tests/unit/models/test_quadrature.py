"""Gauss's rules: exact for polynomials, and the same floats as anybody else's."""

from __future__ import annotations

import numpy as np
import pytest

from models.quadrature import gauss


@pytest.mark.parametrize("n", [1, 2, 3, 8, 16, 128])
def test_a_rule_has_the_integral_of_each_power_below_twice_its_points(n: int) -> None:
    points, weights = (np.array(part) for part in gauss(n))
    for power in range(0, 2 * n, max(1, n // 4)):
        assert (weights * points**power).sum() == pytest.approx(1 / (power + 1), rel=1e-13)


@pytest.mark.parametrize("n", [1, 8, 40])
def test_points_are_those_of_numpy_to_its_last_digits(n: int) -> None:
    points, weights = np.polynomial.legendre.leggauss(n)
    ours = gauss(n)
    assert ours[0] == pytest.approx((points + 1) / 2, abs=1e-14)
    assert ours[1] == pytest.approx(weights / 2, abs=1e-14)


def test_points_lie_inside_and_differ() -> None:
    points, weights = gauss(128)
    assert points[0] > 0
    assert points[-1] < 1
    assert len(set(points)) == 128
    assert min(weights) > 0
