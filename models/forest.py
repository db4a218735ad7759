"""Random forest: risk is the mean over the trees of the share of frauds in the leaf that an order comes to.

What scikit-learn's RandomForestClassifier says (training/fits/forest.py), from arrays: its thresholds are compared with
float32 there, and are moved when it is fitted so that float64 compares the same.

Not additive: contributions add up to log-odds, and a forest's trees add up to a probability. Whatever shares of that
were turned into log-odds would be somebody's choice, so there are none; a blend explains itself by its other members.

The price: a tree of depth 15 is thousands of nodes, so a forest is megabytes and leaves the caches: docs/models.md has
microseconds an order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Self

import numpy as np

from models import tree_files
from models.bagged import Bagged
from models.exact import Floats
from models.inputs import Inputs
from models.trees import Trees
from schemas.decisions import SCORE_DECIMALS

FORMAT: Final = "forest 1"


class Forest(Bagged):
    """A fitted forest."""

    kind: ClassVar[str] = "forest"
    __slots__ = ()

    def __init__(self, trees: Trees, inputs: Inputs, names: Sequence[str]) -> None:
        """See Bagged."""
        super().__init__(trees, inputs, names, most=1.0, leaves="probabilities, 0 to 1")

    def score(self, x: Floats) -> Floats:
        """(n, d) vectors -> (n,) risk in [0, 1], rounded to 1e-6."""
        mean: Floats = np.round(self._sums(x) / len(self.trees.roots), SCORE_DECIMALS)
        return mean

    def files(self) -> dict[str, bytes]:
        """model.json and trees.safetensors: see tree_files.py."""
        return tree_files.files_of(self.trees, self._inputs, FORMAT)

    @classmethod
    def of(cls, files: Mapping[str, bytes], names: Sequence[str]) -> Self:
        """The model of `files`; raises ArtefactError."""
        trees, inputs, _ = tree_files.read(files, FORMAT)
        return cls(trees, inputs, names)
