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
from models.documents import ArtefactError, number
from models.exact import Floats
from models.inputs import Inputs
from models.kernel.curve import halved
from models.scorer import checked_width
from models.trees import Ensemble, Trees

FORMAT: Final = "isolation 1"


class Isolation:
    """A fitted forest, bound to the vector whose columns it reads. A value: nothing changes it after construction."""

    kind: ClassVar[str] = "isolation"
    additive: ClassVar[bool] = False
    __slots__ = ("_ensemble", "_inputs", "usual_length", "width")

    def __init__(self, trees: Trees, usual_length: float, inputs: Inputs, names: Sequence[str]) -> None:
        """`trees` are checked, their leaves lengths of paths; `usual_length` is c(sample). Raises ArtefactError."""
        if not (trees.value >= 0).all():
            raise ArtefactError(f"{tree_files.TREES_FILE}: value: want lengths of paths, 0 or more")
        if not 1.0 <= usual_length <= 1e3:
            raise ArtefactError(f"{tree_files.DOCUMENT_FILE}: usual_length {usual_length:g}: want 1 to 1000 steps")
        self._inputs, self.usual_length, self.width = inputs, usual_length, len(names)
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

    def score(self, x: Floats) -> Floats:
        """(n, d) vectors -> (n,) in [0, 1], rounded to 1e-6: how unusual."""
        checked_width(x, self.width)
        values = self._ensemble.sums(x)
        halved(values, 1.0 / (len(self._ensemble.trees.roots) * self.usual_length))
        return values

    def contributions(self, x: Floats) -> Floats:
        """(n, d) -> (n, reads) zeros."""
        checked_width(x, self.width)
        return np.zeros((len(x), len(self.reads)))

    def files(self) -> dict[str, bytes]:
        """model.json and trees.safetensors: see tree_files.py."""
        return tree_files.files_of(self._ensemble.trees, self._inputs, FORMAT, usual_length=self.usual_length)

    @classmethod
    def of(cls, files: Mapping[str, bytes], names: Sequence[str]) -> Self:
        """The model of `files`; raises ArtefactError."""
        trees, inputs, document = tree_files.read(files, FORMAT, ["usual_length"])
        where = f"{tree_files.DOCUMENT_FILE}: usual_length"
        return cls(trees, number(document["usual_length"], where), inputs, names)
