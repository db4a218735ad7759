"""Table: what all fits of trees ask of the vectors that they learn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.exact import Floats
from models.inputs import Inputs

DIGITS = 6  # significant ones of what is usual: it is for people


def with_both(fraud: npt.NDArray[np.bool_]) -> None:
    """Raises ValueError where one class is absent."""
    if fraud.all() or not fraud.any():
        raise ValueError(f"{int(fraud.sum())} frauds among {len(fraud)} orders: want some of both to fit a model")


def inputs_for(x: Floats, names: Sequence[str], read: Sequence[str]) -> Inputs:
    """The columns that a model reads, with the median of each."""
    places = [list(names).index(name) for name in read]
    return Inputs(tuple(read), np.array([float(f"{np.median(x[:, at]):.{DIGITS}g}") for at in places], np.float64))
