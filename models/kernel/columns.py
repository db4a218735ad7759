"""Columns of the vector as a network reads them (models/network_inputs.py): clipped, squashed and standardised.

The operations are those of `exact.log2_line`, one after the other, so the bits are the same. In numpy they are eight
passes and as many arrays, several times as long for a single order.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numba
import numpy as np

from models.exact import _MANTISSA, _ONE
from models.kernel.compiled import FLOATS2D, INTS, Bools, Floats, Floats2d, Ints, compiled

Singles = Any  # (n, w) of float32

LOW, HIGH, CENTER, SPREAD = range(4)  # rows of a scale: the latter two of what is squashed
ROWS: Final = 8  # taken together: a worker's vectors lie column by column, and eight numbers of one are a line of cache


@compiled
def standardised(values: Floats, scale: Floats2d, grown: Floats) -> None:
    """(r,) values in place; `grown` (r,) is room to work in."""
    bits = grown.view(np.int64)
    for at in range(len(values)):
        values[at] = min(max(values[at], scale[LOW, at]), scale[HIGH, at])
        grown[at] = abs(values[at]) + 1.0
    for at in range(len(values)):
        line = math.copysign(float(bits[at] - _ONE) * _MANTISSA, values[at])
        values[at] = (line - scale[CENTER, at]) / scale[SPREAD, at]


@compiled
def told(values: Floats, absent: Bools, channels: int, out: Singles) -> None:
    """(r,) standardised values -> (width,): flat columns, then of each step its channels and whether it is absent."""
    flat = len(values) - len(absent) * channels
    for at in range(flat):
        out[at] = values[at]
    for step in range(len(absent)):
        first, to = flat + step * channels, flat + step * (channels + 1)
        for channel in range(channels):
            out[to + channel] = 0.0 if absent[step] else values[first + channel]
        out[to + channels] = absent[step]


def _inputs(x: Floats2d, columns: Ints, scale: Floats2d, steps: Ints, out: Singles) -> None:
    count, channels, gap = steps
    taken, grown = np.empty((ROWS, len(columns))), np.empty(len(columns))
    absent, flat = np.empty(count, np.bool_), len(columns) - count * channels
    for first in range(0, len(x), ROWS):
        rows = min(ROWS, len(x) - first)
        for at in range(len(columns)):
            for row in range(rows):
                taken[row, at] = x[first + row, columns[at]]
        for row in range(rows):
            for step in range(count):
                absent[step] = taken[row, flat + step * channels + gap] < 0.0
            standardised(taken[row], scale, grown)
            told(taken[row], absent, channels, out[first + row])


_ANYHOW: Final = numba.types.Array(numba.float64, 2, "A", readonly=True)
_OUT: Final = numba.types.Array(numba.float32, 2, "C")
# (n, d) vectors, (r,) columns that are read, their (4, r) scale, (3,) steps: how many, how many columns each, which of
# these says whether there was such an order -> (n, width), written: flat columns, then each step's and `absent`
inputs = compiled(_inputs, numba.void(_ANYHOW, INTS, FLOATS2D, INTS, _OUT))
