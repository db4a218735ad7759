"""A fitted example of each kind of scorer, over any vector with the columns `amount`, `count` and `risk`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from models.logistic import Input, Logistic
from models.scorer import Scorer


def logistic(names: Sequence[str]) -> Scorer:
    inputs = [
        Input("amount", 40.0, 0.0, 1e5, 0.5),
        Input("count", 2.0, 0.0, 500.0, -0.25),
        Input("amount", 99.0, 99.0, 1e5, 0.25),
    ]
    return Logistic(inputs, -3.0, names)


EXAMPLES: Final[Mapping[str, Callable[[Sequence[str]], Scorer]]] = {"logistic": logistic}
