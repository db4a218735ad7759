"""Compiled: how the kernel's functions are compiled, and what they call their arrays. They have constants of all of
features/ in them, so a change of any file there makes them anew (features/compiled.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from features.compiled import Compiler

Ints = npt.NDArray[np.int64]
Ints2d = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Floats2d = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

# Of arrays that are read, in a signature.
INTS, INTS2D = "Array(int64, 1, 'C', readonly=True)", "Array(int64, 2, 'C', readonly=True)"
FLOATS2D = "Array(float64, 2, 'C', readonly=True)"

FEATURES = Path(__file__).parent.parent
compiled = Compiler(FEATURES)
