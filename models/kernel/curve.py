"""The curves of models/exact.py: each value by itself, by single operations that nothing fuses or reorders.

In numpy a curve is some forty calls, 20 us however few the values; here it is 1 us a call and 10 ns a value.
"""

from __future__ import annotations

import math
from typing import Final

import numba
import numpy as np

from models.kernel.compiled import FLOATS, Floats, compiled, written
from schemas.decisions import SCORE_DECIMALS

_LN2_HIGH: Final = 6.93147180369123816490e-01  # ln 2 in two parts (fdlibm): k times the first one is exact
_LN2_LOW: Final = 1.90821492927058770002e-10
_PER_LN2: Final = 1.4426950408889634
_FLAT: Final = 40.0  # beyond it the curve is 0 or 1 to within 5e-18
_SQRT_HALF: Final = 0.7071067811865476
_TERMS: Final = 13
_ATANH_TERMS: Final = 11  # s^2 is at most .0295, so the next one is below 2e-18
_EXP: Final = tuple(1.0 / math.factorial(term) for term in range(_TERMS, -1, -1))
_ATANH: Final = tuple(1.0 / (2 * term + 1) for term in range(_ATANH_TERMS, -1, -1))
_STEPS: Final = 10.0**SCORE_DECIMALS
_HALVED_AWAY: Final = 1000.0  # 2^-1000 is 0 to any number of decimals that a score has


@compiled
def exp(x: float) -> float:
    """e^x, for x <= 0."""
    octaves = np.rint(x * _PER_LN2)
    rest = x - octaves * _LN2_HIGH
    rest -= octaves * _LN2_LOW
    total = _EXP[0]
    for term in _EXP[1:]:
        total *= rest
        total += term
    return math.ldexp(total, int(octaves))


@compiled
def log(x: float) -> float:
    """The natural logarithm of a positive number."""
    part, octaves = math.frexp(x)
    if part < _SQRT_HALF:  # from sqrt(1/2) to sqrt(2)
        part *= 2.0
        octaves -= 1
    s = (part - 1.0) / (part + 1.0)
    square = s * s
    total = _ATANH[0]
    for term in _ATANH[1:]:
        total *= square
        total += term
    total *= 2.0 * s
    total += octaves * _LN2_LOW
    total += octaves * _LN2_HIGH
    return total


@compiled
def logistic(logit: float) -> float:
    """1 / (1 + e^-x), in [0, 1]."""
    shrunk = exp(-min(abs(logit), _FLAT))
    return (shrunk if logit < 0.0 else 1.0) / (1.0 + shrunk)


def _logistic_of(x: Floats, out: Floats) -> None:
    for place in range(len(x)):
        out[place] = logistic(x[place])


def _log_of(x: Floats, out: Floats) -> None:
    for place in range(len(x)):
        out[place] = log(x[place])


def _softplus_of(x: Floats, out: Floats) -> None:
    for place in range(len(x)):
        out[place] = max(x[place], 0.0) + log(1.0 + exp(-min(abs(x[place]), _FLAT)))


@compiled
def rounded(score: float) -> float:
    """As np.round has it, to the decimals of a score."""
    return float(np.rint(score * _STEPS) / _STEPS)


def _risks(values: Floats, scale: float) -> None:
    for row in range(len(values)):
        values[row] = rounded(logistic(values[row] * scale))


def _halved(values: Floats, scale: float) -> None:
    for row in range(len(values)):
        values[row] = rounded(exp(-min(values[row] * scale, _HALVED_AWAY) * _LN2_HIGH))


_EACH: Final = numba.void(FLOATS, written())
logistic_of = compiled(_logistic_of, _EACH)
log_of = compiled(_log_of, _EACH)
softplus_of = compiled(_softplus_of, _EACH)

_IN_PLACE: Final = numba.void(written(), numba.float64)
risks = compiled(_risks, _IN_PLACE)  # (n,) log-odds over `scale` become np.round(exact.logistic(x), 6)
halved = compiled(_halved, _IN_PLACE)  # (n,) numbers >= 0 become 2^-(x * scale), rounded likewise
