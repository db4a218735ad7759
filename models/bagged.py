"""Bagged: what models have in common that say the mean over many trees.

A leaf's value is a share or a length, and what is told of an order is the mean of the leaves that it comes to. None is
additive: contributions add up to log-odds, and these add up to something else (each kind says to what).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from models import tree_files
from models.documents import ArtefactError
from models.exact import Floats
from models.inputs import Inputs
from models.scorer import checked_width
from models.trees import Ensemble, Trees


class Bagged:
    """Trees bound to the vector whose columns they read. A value: nothing changes it after construction."""

    additive: ClassVar[bool] = False
    __slots__ = ("_ensemble", "_inputs", "width")

    def __init__(self, trees: Trees, inputs: Inputs, names: Sequence[str], *, most: float, leaves: str) -> None:
        """`trees` are checked but for their leaves: 0 to `most`. `names` are the columns of the vector.

        Raises ArtefactError; `leaves` is what it calls them.
        """
        if not ((trees.value >= 0) & (trees.value <= most)).all():
            raise ArtefactError(f"{tree_files.TREES_FILE}: value: want {leaves}")
        self._inputs, self.width = inputs, len(names)
        self._ensemble = Ensemble(trees, inputs.columns(names, tree_files.DOCUMENT_FILE))

    @property
    def reads(self) -> tuple[str, ...]:
        return self._inputs.names

    @property
    def usual(self) -> Floats:
        return self._inputs.usual

    @property
    def base(self) -> float:
        """0: it explains nothing."""
        return 0.0

    @property
    def trees(self) -> Trees:
        """What it is made of."""
        return self._ensemble.trees

    def contributions(self, x: Floats) -> Floats:
        """(n, d) -> (n, reads) zeros."""
        checked_width(x, self.width)
        return np.zeros((len(x), len(self.reads)))

    def _sums(self, x: Floats) -> Floats:
        """(n, d) -> (n,) the leaves' values added up, over all trees."""
        checked_width(x, self.width)
        return self._ensemble.sums(x)
