"""Progress: what a fit tells while it runs, and how it is told to end.

A fit calls back after its steps (a tree, an epoch). Where the answer is False it ends with the best that it has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """Where a fit stands."""

    done: int
    total: int  # at most: it may end earlier
    loss: float | None = None  # on the validation slice, where there is one


Progress = Callable[[Step], bool]
