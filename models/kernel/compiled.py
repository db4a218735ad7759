"""Compiled: how the kernel's functions are compiled, and what they call their arrays (features/compiled.py)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from features.compiled import Compiler

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Floats2d = npt.NDArray[np.float64]

types: Any = numba.types
compiled = Compiler(Path(__file__).parent)


def read(of: Any, dimensions: int = 1) -> Any:
    """The type of an array that is read, in a signature."""
    kept = numba.from_dtype(of) if isinstance(of, np.dtype) else of
    return types.Array(kept, dimensions, "C", readonly=True)


def named(fields: Sequence[Any], of: type) -> Any:
    """The type of a named tuple, in a signature."""
    return types.NamedTuple(fields, of)


def written(dimensions: int = 1) -> Any:
    """The type of an array of floats that is written."""
    return types.Array(numba.float64, dimensions, "C")


INTS: Final = read(numba.int64)
FLOATS: Final = read(numba.float64)
FLOATS2D: Final = read(numba.float64, 2)
