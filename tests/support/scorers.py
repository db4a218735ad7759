"""A fitted example of each kind of scorer, over any vector with the columns `amount`, `count` and `risk`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from models.blend import Blend
from models.calibration import Beta
from models.logistic import Input, Logistic
from models.scorer import Scorer


def logistic(names: Sequence[str]) -> Scorer:
    inputs = [
        Input("amount", 40.0, 0.0, 1e5, 0.5),
        Input("count", 2.0, 0.0, 500.0, -0.25),
        Input("amount", 99.0, 99.0, 1e5, 0.25),
    ]
    return Logistic(inputs, -3.0, names)


def blend(names: Sequence[str]) -> Scorer:
    second = Logistic([Input("risk", 0.5, 0.0, 1.0, 2.0), Input("count", 2.0, 0.0, 500.0, 0.5)], -2.0, names)
    members = {"first": logistic(names), "second": second}
    return Blend(members, {"first": 0.7, "second": 0.6}, Beta(1.1, 0.8, -0.2), names, bias=0.4)


EXAMPLES: Final[Mapping[str, Callable[[Sequence[str]], Scorer]]] = {"blend": blend, "logistic": logistic}
