"""Logarithm and logistic curve with the same bits on any CPU.

`numpy.log` and `numpy.exp` differ in the last bit between instruction sets, and a last bit can move a rounded score
over a threshold. Here everything is made of single IEEE operations (+ - * / and the exponent's bits) that nothing fuses
or reorders: one numpy call each, or a loop of machine code (models/kernel/curve.py), which is loaded when it is needed.

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
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_MANTISSA: Final = 2.0**-52  # one step of a float64's bits, in octaves
_ONE: Final = 1023 << 52  # the bits of 1.0


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
    """1 / (1 + e^-x), in [0, 1]; for any shape, as those below."""
    from models.kernel import curve

    return _each(curve.logistic_of, logit)


def log(x: Floats) -> Floats:
    """The natural logarithm of positive numbers."""
    from models.kernel import curve

    return _each(curve.log_of, x)


def logit(p: Floats) -> Floats:
    """The log-odds of probabilities inside (0, 1)."""
    return log(p / (1.0 - p))


def softplus(x: Floats) -> Floats:
    """ln(1 + e^x), never overflowing."""
    from models.kernel import curve

    return _each(curve.softplus_of, x)


def _each(curve: Callable[[Floats, Floats], None], x: Floats) -> Floats:
    values = np.asarray(x, dtype=np.float64, order="C")
    out = np.empty_like(values)
    curve(values.reshape(-1), out.reshape(-1))
    return out
