"""Sessions: how rare it is to look as unusual as this, among the vectors of late.

Half-Space Trees say how unusual a vector is in a number that means nothing by itself: it depends on the trees, on the
window and on what is usual. So the scores of late vectors come with them, each as it was before its vector was learned.

    score = late vectors that were less unusual / (late vectors + 1)

Hence .999 is "more unusual than 999 of the last 1,000", one vector in so many reaches it whatever the shop is like, and
none does before so many were seen. The price: who sends as many odd sessions as there are usual ones is usual.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Self

import numpy as np

from models.documents import ArtefactError, file_of, number, object_of, with_format
from models.exact import Floats
from models.half_space import HalfSpace, Ints
from schemas.decisions import SCORE_DECIMALS

FORMAT: Final = "sessions 1"  # of scores.json: raise it when the same file comes to mean another score
FILE: Final = "scores.json"
SESSIONS: Final = "sessions"  # the kind, the model's name in the registry, and what it does in a deployment


class Sessions:
    """Trees and the scores of late vectors. A value: nothing changes it after construction."""

    kind: ClassVar[str] = SESSIONS
    additive: ClassVar[bool] = False
    __slots__ = ("late", "trees")

    def __init__(self, trees: HalfSpace, late: Floats) -> None:
        """`late` (k,): scores of vectors by such trees, in any order."""
        self.trees: HalfSpace = trees
        self.late: Floats = np.sort(late)

    @property
    def reads(self) -> tuple[str, ...]:
        """The trees' columns."""
        return self.trees.reads

    @property
    def columns(self) -> Ints:
        """(r,) where `reads` are in the vector."""
        return self.trees.columns

    @property
    def usual(self) -> Floats:
        """The means of the columns, on a scale of doublings."""
        return self.trees.usual

    def score(self, x: Floats) -> Floats:
        """(n, d) vectors -> (n,) the share of late ones that were less unusual, rounded to 1e-6; 0: there are none."""
        below = np.searchsorted(self.late, self.trees.score(x), side="left")
        rounded: Floats = np.round(below / (len(self.late) + 1), SCORE_DECIMALS)
        return rounded

    def most_unusual(self, x: Floats, count: int = 3) -> list[list[tuple[str, float]]]:
        """For each of (n, d) vectors the features that make it unusual, and by how many bits, the rarest first."""
        return self.trees.most_unusual(x, count)

    def contributions(self, x: Floats) -> Floats:
        """(n, d) -> (n, r) zeros; see `most_unusual`."""
        return self.trees.contributions(x)

    @property
    def base(self) -> float:
        """0: nothing is added to it."""
        return 0.0

    def files(self) -> dict[str, bytes]:
        """The trees' file, and the scores."""
        document = {"format": FORMAT, "late": self.late.tolist()}
        return self.trees.files() | {FILE: (json.dumps(document) + "\n").encode()}

    @classmethod
    def of(cls, files: Mapping[str, bytes], names: Sequence[str]) -> Self:
        """The model of `files`; raises ArtefactError."""
        document = object_of(file_of(files, FILE), FILE)
        with_format(document, FORMAT, FILE)
        late = document.get("late")
        if not isinstance(late, list):
            raise ArtefactError(f"{FILE}: late: want a list of scores")
        scores = [number(one, f"{FILE}: late") for one in late]
        if scores and not 0.0 <= min(scores) <= max(scores) <= 1.0:
            raise ArtefactError(f"{FILE}: late has {min(scores)} to {max(scores)}: want scores from 0 to 1")
        return cls(HalfSpace.of(files, names), np.array(scores, dtype=np.float64))
