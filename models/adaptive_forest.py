"""Adaptive random forest: a snapshot of Hoeffding trees that learn from labels as they are due.

Each tree sends a vector to one leaf, whose value is the share of frauds among what the leaf has learned. A score is the
mean of the leaves' values; since a learner leaves out most good orders (training/online/sampling.py), its odds are then
brought down by `rate`. Trees are walked as those of all other kinds are (models/trees.py): the same bytes on any CPU.

Not additive, for the reason that forest.py gives. The price is that of a forest of as many trees and nodes.
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
from models.trees import Trees
from schemas.decisions import SCORE_DECIMALS

FORMAT: Final = "adaptive forest 1"


class AdaptiveForest(Bagged):
    """A snapshot."""

    kind: ClassVar[str] = "adaptive_forest"
    __slots__ = ("rate",)

    def __init__(self, trees: Trees, rate: float, inputs: Inputs, names: Sequence[str]) -> None:
        """`rate` is the share of good orders that the trees learned; of the rest see Bagged."""
        if not 1e-9 <= rate <= 1:
            raise ArtefactError(f"{tree_files.DOCUMENT_FILE}: rate {rate:g}: want more than 0 and at most 1")
        super().__init__(trees, inputs, names, most=1.0, leaves="shares of frauds, 0 to 1")
        self.rate = rate

    def score(self, x: Floats) -> Floats:
        """(n, d) vectors -> (n,) risk in [0, 1], rounded to 1e-6."""
        share = np.minimum(self._sums(x) / len(self.trees.roots), 1.0)
        odds = share * self.rate
        risk: Floats = np.round(odds / (odds + (1.0 - share)), SCORE_DECIMALS)
        return risk

    def files(self) -> dict[str, bytes]:
        """model.json and trees.safetensors: see tree_files.py."""
        return tree_files.files_of(self.trees, self._inputs, FORMAT, rate=self.rate)

    @classmethod
    def of(cls, files: Mapping[str, bytes], names: Sequence[str]) -> Self:
        """The model of `files`; raises ArtefactError."""
        trees, inputs, document = tree_files.read(files, FORMAT, ["rate"])
        return cls(trees, number(document["rate"], f"{tree_files.DOCUMENT_FILE}: rate"), inputs, names)
