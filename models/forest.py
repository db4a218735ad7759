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
from models.documents import ArtefactError
from models.exact import Floats
from models.inputs import Inputs
from models.scorer import checked_width
from models.trees import Ensemble, Trees
from schemas.decisions import SCORE_DECIMALS

FORMAT: Final = "forest 1"


class Forest:
    """A fitted forest, bound to the vector whose columns it reads. A value: nothing changes it after construction."""

    kind: ClassVar[str] = "forest"
    additive: ClassVar[bool] = False
    __slots__ = ("_ensemble", "_inputs", "width")

    def __init__(self, trees: Trees, inputs: Inputs, names: Sequence[str]) -> None:
        """`trees` are checked; `names` are the columns of the vector. Raises ArtefactError."""
        if not ((trees.value >= 0) & (trees.value <= 1)).all():
            raise ArtefactError(f"{tree_files.TREES_FILE}: value: want probabilities, 0 to 1")
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

    def score(self, x: Floats) -> Floats:
        """(n, d) vectors -> (n,) risk in [0, 1], rounded to 1e-6."""
        checked_width(x, self.width)
        mean: Floats = np.round(self._ensemble.sums(x) / len(self._ensemble.trees.roots), SCORE_DECIMALS)
        return mean

    def contributions(self, x: Floats) -> Floats:
        """(n, d) -> (n, reads) zeros."""
        checked_width(x, self.width)
        return np.zeros((len(x), len(self.reads)))

    def files(self) -> dict[str, bytes]:
        """model.json and trees.safetensors: see tree_files.py."""
        return tree_files.files_of(self._ensemble.trees, self._inputs, FORMAT)

    @classmethod
    def of(cls, files: Mapping[str, bytes], names: Sequence[str]) -> Self:
        """The model of `files`; raises ArtefactError."""
        trees, inputs, _ = tree_files.read(files, FORMAT)
        return cls(trees, inputs, names)
