"""Logarithm and logistic curve with the same bits on any CPU.

`numpy.log` and `numpy.exp` differ in the last bit between instruction sets, and a last bit can move a rounded score
over a threshold. Here everything is made of single IEEE operations (+ - * / and the exponent's bits), one numpy call
each, so that nothing is fused or reordered.

- `log2_line` is Mitchell's logarithm (J. N. Mitchell, 1962): the bits of a float, read as an integer, are a straight
  line between powers of two that never leaves log2 by more than 0.0861. It never falls, is exact at powers of two and
  costs a tenth of a true logarithm. As a squashing of heavy tails it is as good.
- `logistic` reduces its argument by multiples of ln 2 and sums 13 terms of Taylor's series: within 4e-16 of the true
  value.
- `log` takes the octaves off and sums 11 terms of the series of atanh, and `logit` and `softplus` are made of it:
  within a few last bits of the true value.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_MANTISSA: Final = 2.0**-52  # one step of a float64's bits, in octaves
_ONE: Final = 1023 << 52  # the bits of 1.0
_LN2_HIGH: Final = 6.93147180369123816490e-01  # ln 2 in two parts (fdlibm): k times the first one is exact
_LN2_LOW: Final = 1.90821492927058770002e-10
_PER_LN2: Final = 1.4426950408889634
_TERMS: Final = 13
_FLAT: Final = 40.0  # beyond it the curve is 0 or 1 to within 5e-18
_SQRT_HALF: Final = 0.7071067811865476
_ATANH_TERMS: Final = 11  # s^2 is at most .0295, so the next one is below 2e-18


def log2_line(values: Floats) -> Floats:
    """sign(x) times the piecewise-linear log2 of 1 + |x|, for any shape; 0 at 0, 1 at 1, about 10 at 1,000."""
    grown = np.ascontiguousarray(np.absolute(values))
    grown += 1.0
    bits = grown.view(np.int64)
    bits -= _ONE
    line = np.multiply(bits, _MANTISSA, dtype=np.float64)
    np.copysign(line, values, out=line)
    return line


def inverse_log2_line(line: float) -> float:
    """The x whose `log2_line` is `line`."""
    octave = math.floor(abs(line))
    return math.copysign(math.ldexp(1.0 + (abs(line) - octave), octave) - 1.0, line)


def logistic(logit: Floats) -> Floats:
    """1 / (1 + e^-x), in [0, 1]."""
    shrunk = _exp(-np.minimum(np.absolute(logit), _FLAT))
    above = np.where(logit < 0.0, shrunk, 1.0)
    return above / (1.0 + shrunk)


def log(x: Floats) -> Floats:
    """The natural logarithm of positive numbers."""
    part, octaves = np.frexp(x)
    small = part < _SQRT_HALF
    part = np.where(small, part * 2.0, part)  # from sqrt(1/2) to sqrt(2)
    octaves = (octaves - small).astype(np.float64)
    s = (part - 1.0) / (part + 1.0)
    square = s * s
    total = np.full_like(s, 1.0 / (2 * _ATANH_TERMS + 1))
    for term in range(_ATANH_TERMS - 1, -1, -1):
        total *= square
        total += 1.0 / (2 * term + 1)
    total *= 2.0 * s
    total += octaves * _LN2_LOW
    total += octaves * _LN2_HIGH
    return total


def logit(p: Floats) -> Floats:
    """The log-odds of probabilities inside (0, 1)."""
    return log(p / (1.0 - p))


def softplus(x: Floats) -> Floats:
    """ln(1 + e^x), never overflowing."""
    return np.maximum(x, 0.0) + log(1.0 + _exp(-np.minimum(np.absolute(x), _FLAT)))


def _exp(x: Floats) -> Floats:
    octaves = np.rint(x * _PER_LN2)
    rest = x - octaves * _LN2_HIGH
    rest -= octaves * _LN2_LOW
    total = np.full_like(rest, 1.0 / math.factorial(_TERMS))
    for term in range(_TERMS - 1, -1, -1):
        total *= rest
        total += 1.0 / math.factorial(term)
    scaled: Floats = np.ldexp(total, octaves.astype(np.int32))
    return scaled
