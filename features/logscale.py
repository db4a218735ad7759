"""The log scale: an amount's place on a ladder of 32 rungs per doubling.

The spread of amounts is measured in these places, since squares of cents leave the range of exact doubles quickly and
`numpy.log` differs in its last bit between CPUs. Rung i stands at 2^(i/32); an amount reaches it iff amount^32 >= 2^i,
so the table is made of integers only: the 32nd root of 2^i is five integer square roots. The price: two amounts within
2.2 % of each other may share a place.
"""

from __future__ import annotations

from math import isqrt

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

STEPS = 32  # rungs per doubling
DOUBLINGS = 62  # amounts up to 2^62 minor units


def place(amount: Ints) -> Ints:
    """(n,) minor units -> (n,) places: 0 for amounts of 0 or less, else 1 + floor(32 log2 amount), at most 1985."""
    return _RUNGS.searchsorted(amount, side="right")


def _rung(step: int) -> int:
    """The smallest integer that is at least 2^(step/32)."""
    root = 1 << step
    for _ in range(5):  # 2^5 = STEPS; the floor of nested integer roots is the floor of the root
        root = isqrt(root)
    return root + (step % STEPS != 0)


_RUNGS: Ints = np.array([_rung(step) for step in range(DOUBLINGS * STEPS + 1)], np.int64)
