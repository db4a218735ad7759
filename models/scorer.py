"""Scorer: what every model is to the rest of the system, whatever it was fitted by.

A scorer is a value: nothing changes it after construction, and it holds no handle on anything. It is bound to the
vector whose columns it reads, so `score` takes the whole vector of each order. What all of them promise, and
tests/contract/test_scorers.py holds each kind to:
    - a score is in [0, 1], rounded to 1e-6, never NaN for finite vectors;
    - a row's score does not depend on the rows beside it, nor on how many there are, none included;
    - what was saved scores the same when loaded, to the last bit, and the same model gives the same files;
    - contributions add up: `base` and a row's contributions make the log-odds of its score, where the model is
      `additive`. Else they leave something out: all of it (they are 0) where a kind cannot tell, and of a blend
      (models/blend.py) what its other members say.
Online models keep their learning apart (training/online): what is here never learns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, Self, runtime_checkable

from models.exact import Floats


@runtime_checkable
class Scorer(Protocol):
    """A fitted model. Shapes: n orders, d columns of the vector, r columns that the model reads."""

    kind: ClassVar[str]  # its name in models/kinds.py

    @property
    def additive(self) -> bool:
        """Whether `contributions` explains the whole score."""
        ...

    @property
    def reads(self) -> tuple[str, ...]:
        """(r,) the columns of the vector that may change a score, each once."""
        ...

    @property
    def usual(self) -> Floats:
        """(r,) what each of `reads` is for an ordinary order, in the feature's unit: for words, "usually 12"."""
        ...

    @property
    def base(self) -> float:
        """The log-odds that contributions are added to."""
        ...

    def score(self, x: Floats) -> Floats:
        """(n, d) finite vectors -> (n,) risk; raises ValueError for vectors of another width."""
        ...

    def contributions(self, x: Floats) -> Floats:
        """(n, d) -> (n, r): what each column adds to the log-odds, as far as the model can tell."""
        ...

    def files(self) -> dict[str, bytes]:
        """What it is on disk, by file name. The same model gives the same bytes."""
        ...

    @classmethod
    def of(cls, files: Mapping[str, bytes], names: Sequence[str]) -> Self:
        """The model of these files, for the vector with these columns; raises ArtefactError. Runs nothing of theirs."""
        ...


def checked_width(x: Floats, width: int) -> None:
    """Raises ValueError for vectors that are not the model's."""
    if x.shape[1] != width:
        raise ValueError(f"a vector of {x.shape[1]} columns: this model reads vectors of {width}")
