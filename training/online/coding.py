"""Coding: a value as a whole number, its logarithm in steps, for learners that count.

A code is ceil(STEPS * log2_line(x)): 16 steps an octave above 1, and equal steps of 1/16 between 0 and 1, where shares
lie. A tree splits between codes, so `x at most threshold(code)` is what a code stands for in the feature's own unit.
The price: what differs by less than 4 % of an amount, or .06 of a share, is one to a tree.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from models.exact import Floats, inverse_log2_line, log2_line

Ints = npt.NDArray[np.int64]

STEPS: Final = 16


def codes(x: Floats) -> Ints:
    """Codes of values, in any shape."""
    coded: Ints = np.ceil(log2_line(x) * STEPS).astype(np.int64)
    return coded


def threshold(code: float) -> float:
    """The largest value of a code; of a mean of codes what lies there."""
    return inverse_log2_line(code / STEPS)
