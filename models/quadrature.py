"""Quadrature: Gauss's rule on [0, 1], which has the integral of a polynomial of degree 2 n - 1 from n of its values.

The points are the zeros of Legendre's polynomial. They are sought in decimals of 40 digits and rounded once, so they
are the same floats on any machine, which no routine of a linear algebra library promises.
The price: 1 ms for 8 points, a second for 128; each rule is made once.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from functools import cache
from typing import Final

_DIGITS: Final = 40
_ROUNDS: Final = 6  # of Newton's method, which doubles the 15 digits of the first guess... and more than enough


@cache
def gauss(n: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(points, weights) of the rule of n points, by rising points; the weights sum to 1."""
    with localcontext(prec=_DIGITS):
        zeros = [_zero(n, math.cos(math.pi * (place + 0.75) / (n + 0.5))) for place in range(n)]
        rule = sorted((float((1 + x) / 2), float(1 / ((1 - x * x) * slope * slope))) for x, slope in zeros)
    points, weights = zip(*rule, strict=True)
    return points, weights


def _zero(n: int, guess: float) -> tuple[Decimal, Decimal]:
    """The zero of P_n near the guess, and the slope there."""
    x = Decimal(guess)
    for _ in range(_ROUNDS):
        value, slope = _legendre(n, x)
        x -= value / slope
    return x, _legendre(n, x)[1]


def _legendre(n: int, x: Decimal) -> tuple[Decimal, Decimal]:
    """P_n and its derivative."""
    before, here = Decimal(1), x
    for k in range(2, n + 1):
        before, here = here, ((2 * k - 1) * x * here - (k - 1) * before) / k
    return here, n * (x * here - before) / (x * x - 1)
