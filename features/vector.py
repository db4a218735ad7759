"""Vectors: which columns a model and the rules read, in which order, under which hash.

A vector joins what the event itself says with what the folds of its groups say. The hash covers the names and every
definition behind them, so that a model made for other features is refused instead of being fed the wrong columns.
The price: any change of a definition, also a harmless one, asks for a new fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

import numpy as np

from features.columns import Columns, Floats, Floats2d
from features.group import Group

Fill = Callable[[Columns, Mapping[str, Floats2d]], "list[Floats] | Floats2d"]


@dataclass(frozen=True)
class Vector:
    """`fill(columns, folded)` gives one (n,) array per name (or a (d, n) matrix); `folded` is keyed by group name.

    `revision` stands for the code of `fill`: raise it when that changes a value. `words` says what people call a name
    (words.py); a name without words stands for itself.
    """

    names: tuple[str, ...]
    groups: tuple[Group, ...]
    fill: Fill
    revision: int = 1
    words: Mapping[str, str] = field(default_factory=dict, compare=False)

    def rows(self, columns: Columns, folded: Mapping[str, Floats2d]) -> Floats2d:
        """(n, d) float64, one row per event in offset order. Each column is contiguous in memory."""
        matrix = np.asarray(self.fill(columns, folded), np.float64, order="C")
        if matrix.shape != (len(self.names), columns.n):
            raise ValueError(
                f"vector: {len(matrix)} columns filled for {len(self.names)} names: make `fill` and `names` agree"
            )
        return matrix.T

    @cached_property
    def hash(self) -> str:
        """16 hex digits of names, definitions and revision."""
        text = "\n".join([str(self.revision), *self.names, *(group.definition for group in self.groups)])
        return sha256(text.encode()).hexdigest()[:16]
