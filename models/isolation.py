"""Isolation forest: how soon random cuts set an order apart from all others (Liu, Ting and Zhou, 2008).

    score = 2 ^ -(mean over the trees of the path's length / c(sample))
A path's length is the steps to the leaf, plus c(n) where n rows were left in it; c(n) is what it takes on average to
set one of n rows apart. An order among many like it scores below .5, one that stands alone near 1. It equals
`-score_samples` of scikit-learn's IsolationForest (training/fits/isolation.py), and knows no label: it says that an
order is unusual, not that it is a fraud.

Not additive: contributions add up to log-odds of a risk, and here is none; path lengths add up to something else.

The price: some hundred trees of a few hundred nodes each, all in the caches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Self

import numpy as np

from models import tree_files
from models.bagged import Bagged
from models.documents import ArtefactError, number
from models.exact import Floats
from models.inputs import Inputs
from models.kernel.curve import halved
from models.trees import Trees

FORMAT: Final = "isolation 1"


class Isolation(Bagged):
    """A fitted forest."""

    kind: ClassVar[str] = "isolation"
    __slots__ = ("usual_length",)

    def __init__(self, trees: Trees, usual_length: float, inputs: Inputs, names: Sequence[str]) -> None:
        """`usual_length` is c(sample); of the rest see Bagged."""
        if not 1.0 <= usual_length <= 1e3:
            raise ArtefactError(f"{tree_files.DOCUMENT_FILE}: usual_length {usual_length:g}: want 1 to 1000 steps")
        super().__init__(trees, inputs, names, most=np.inf, leaves="lengths of paths, 0 or more")
        self.usual_length = usual_length

    def score(self, x: Floats) -> Floats:
        """(n, d) vectors -> (n,) in [0, 1], rounded to 1e-6: how unusual."""
        values = self._sums(x)
        halved(values, 1.0 / (len(self.trees.roots) * self.usual_length))
        return values

    def files(self) -> dict[str, bytes]:
        """model.json and trees.safetensors: see tree_files.py."""
        return tree_files.files_of(self.trees, self._inputs, FORMAT, usual_length=self.usual_length)

    @classmethod
    def of(cls, files: Mapping[str, bytes], names: Sequence[str]) -> Self:
        """The model of `files`; raises ArtefactError."""
        trees, inputs, document = tree_files.read(files, FORMAT, ["usual_length"])
        where = f"{tree_files.DOCUMENT_FILE}: usual_length"
        return cls(trees, number(document["usual_length"], where), inputs, names)
