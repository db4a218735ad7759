"""Logistic regression over the vector: risk = 1 / (1 + e^-(bias + sum of weights times squashed inputs)).

Amounts and counts have heavy tails, so each input is clipped to the range that training saw and then squashed by a
signed logarithm to base 2 (`exact.log2_line`): a ratio such as "this order over the usual one" becomes a difference,
which a linear model can see, and no single input can run away on a shop unlike the data. A range is what enough owners
(customers) reached, not enough orders: one dear purchase stands in the windows of all orders after it. Fitting
standardises the squashed inputs; the standardisation is folded into what is kept, so that a model reads as
    usual  the input of an ordinary order: it contributes nothing there
    weight what is added to the log-odds each time the input doubles (more exactly: 1 + input)
and `bias` is the log-odds of an order that is usual in everything. Inputs that never vary in the data are left out.

A feature may come several times, clipped from below at different values: its line then bends there, and an amount can
matter little up to 200 and much beyond.

Score and contributions have the same bytes on any CPU (see exact.py); columns are summed in one fixed tree, not by
BLAS. Scores are rounded to 1e-6 before anything compares or prints them. They are in [0, 1] and never NaN for finite
inputs. The price: what depends on two inputs together, other than as a ratio, is invisible to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from models.exact import Floats, inverse_log2_line, log2_line, logistic
from schemas.decisions import SCORE_DECIMALS

Squash = Literal["log2", "none"]
Ints = npt.NDArray[np.int64]

_CHUNK: Final = 512  # rows scored at a time: their inputs stay in the first cache levels
_DIGITS: Final = 6  # significant ones of a fitted number: enough, readable, and stable against the last bits of BLAS
_REACHED: Final = 30  # owners that went to the end of an input's range: the least that a mean is usually trusted with
_SHARE: Final = 20  # where owners are few, one in so many is enough
_FLAT: Final = 1e-9  # an input whose squashed spread is below this never varies


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a model, in the unit of its feature."""

    name: str
    usual: float
    low: float
    high: float
    weight: float


class Logistic:
    """A fitted model, bound to the vector whose columns it reads. A value: nothing changes it after construction."""

    __slots__ = ("_center", "_high", "_low", "_weight", "bias", "columns", "inputs", "squash", "width")

    def __init__(self, inputs: Sequence[Input], bias: float, names: Sequence[str], squash: Squash = "log2") -> None:
        """`names` are the columns of the vector, among which each input must be."""
        self.inputs, self.bias, self.squash, self.width = tuple(inputs), float(bias), squash, len(names)
        place = {name: column for column, name in enumerate(names)}
        self.columns: Ints = np.array([place[i.name] for i in inputs], dtype=np.int64)
        self._low, self._high, self._weight = (
            np.array([getattr(i, key) for i in inputs], dtype=np.float64)[:, None] for key in ("low", "high", "weight")
        )
        usual = np.array([i.usual for i in inputs], dtype=np.float64)[:, None]
        self._center: Floats = self._squashed(np.clip(usual, self._low, self._high))

    def score(self, x: Floats) -> Floats:
        """(n, d) vectors -> (n,) risk in [0, 1], rounded to 1e-6."""
        if x.shape[1] != self.width:
            raise ValueError(f"a vector of {x.shape[1]} columns: this model reads vectors of {self.width}")
        risk = np.empty(len(x))
        for start in range(0, len(x), _CHUNK):
            rows = slice(start, start + _CHUNK)
            risk[rows] = logistic(_sum_rows(self._parts(x[rows])) + self.bias)
        rounded: Floats = np.round(risk, SCORE_DECIMALS)
        return rounded

    def contributions(self, x: Floats) -> Floats:
        """(n, d) -> (n, features): what each of `features` adds to the log-odds, all its inputs together."""
        parts = dict.fromkeys((one.name for one in self.features), 0.0 * x[:, 0])
        for one, part in zip(self.inputs, self._parts(x), strict=True):
            parts[one.name] = parts[one.name] + part
        return np.stack(list(parts.values()), axis=1) if parts else np.zeros((len(x), 0))

    @property
    def features(self) -> tuple[Input, ...]:
        """Each feature's first input: that over the whole of its range."""
        return tuple({one.name: one for one in reversed(self.inputs)}.values())[::-1]

    def _parts(self, x: Floats) -> Floats:
        """(n, d) -> (inputs, n), one contiguous row an input."""
        taken = np.ascontiguousarray(x.T[self.columns])  # not np.take: it would copy all of x first
        np.maximum(taken, self._low, out=taken)
        np.minimum(taken, self._high, out=taken)
        squashed = self._squashed(taken)
        squashed -= self._center
        squashed *= self._weight
        return squashed

    def _squashed(self, x: Floats) -> Floats:
        return log2_line(x) if self.squash == "log2" else x


def fit(
    x: Floats,
    fraud: npt.NDArray[np.bool_],
    names: Sequence[str],
    *,
    l2: float = 1.0,
    squash: Squash = "log2",
    bends: Sequence[float] = (),
    owner: Ints | None = None,
) -> Logistic:
    """The likeliest model for (n, d) vectors and (n,) labels, with a ridge of strength `l2` on standardised inputs.

    `bends` are quantiles: each column is offered once more from there on. Without them it is what scikit-learn's
    LogisticRegression(C=1/l2) finds on the same inputs. `owner` (n,) says whose a row is: the rows of one are one
    witness to how far an input goes (None: each row is its own). Raises ValueError where one class is absent.
    """
    if fraud.all() or not fraud.any():
        raise ValueError(f"{int(fraud.sum())} frauds among {len(fraud)} orders: want some of both to fit a model")
    low, high = _ranges(x, squash, bends, np.arange(len(x)) if owner is None else owner)
    columns = np.tile(np.arange(x.shape[1]), 1 + len(bends))
    z = np.clip(x[:, columns], low, high)
    z = log2_line(z) if squash == "log2" else z
    center, spread = z.mean(axis=0), z.std(axis=0)
    used = np.flatnonzero(spread > _FLAT)
    used = used[
        np.argsort(columns[used], kind="stable")
    ]  # what is of one column stands together, the whole of it first
    weight, bias = newton((z[:, used] - center[used]) / spread[used], fraud.astype(np.float64), l2)
    inputs = [
        Input(
            name=names[columns[place]],
            usual=_short(inverse_log2_line(center[place]) if squash == "log2" else float(center[place])),
            low=_short(low[place]),
            high=_short(high[place]),
            weight=_short(w / spread[place]),
        )
        for place, w in zip(used.tolist(), weight.tolist(), strict=True)
    ]
    return Logistic(inputs, _short(bias), names, squash)


def newton(z: Floats, y: Floats, l2: float, steps: int = 100) -> tuple[Floats, float]:
    """Weights and bias that minimise log loss + l2/2 |weights|^2: Newton's method, halving a step that overshoots.

    `z` (n, d) standardised; `y` (n,) 0 or 1. The bias bears no penalty.
    """
    design = np.column_stack([z, np.ones(len(z))])
    ridge = np.full(design.shape[1], l2)
    ridge[-1] = 0.0
    theta = np.zeros(design.shape[1])
    loss = _loss(design, y, ridge, theta)
    for _ in range(steps):
        p = 1.0 / (1.0 + np.exp(-(design @ theta)))
        slope = design.T @ (p - y) + ridge * theta
        curve = (design * (p * (1.0 - p))[:, None]).T @ design + np.diag(ridge + 1e-9)
        move, before = np.linalg.solve(curve, slope), loss
        while (loss := _loss(design, y, ridge, theta - move)) > before and np.abs(move).max() > 1e-9:
            move /= 2
        theta = theta - move
        if np.abs(move).max() < 1e-9:
            break
    return theta[:-1], float(theta[-1])


def _loss(design: Floats, y: Floats, ridge: Floats, theta: Floats) -> float:
    logit = design @ theta
    return float(np.logaddexp(0.0, logit).sum() - y @ logit + (ridge * theta**2).sum() / 2)


def _ranges(x: Floats, squash: Squash, bends: Sequence[float], owner: Ints) -> tuple[Floats, Floats]:
    """Where inputs are clipped, the whole columns first; as far as they go where they are taken as they are."""
    lowest, highest = (x.min(axis=0), x.max(axis=0)) if squash == "none" else _reached(x, owner)
    low = np.concatenate([lowest, *(np.quantile(x, bend, axis=0) for bend in bends)])
    return low, np.maximum(np.tile(highest, 1 + len(bends)), low)


def _reached(x: Floats, owner: Ints) -> tuple[Floats, Floats]:
    """(d,) each: the smallest and the largest value that _REACHED owners went to; one in _SHARE where that is less."""
    order = np.argsort(owner, kind="stable")
    first = np.unique(owner[order], return_index=True)[1]
    least, most = (np.sort(of.reduceat(x[order], first, axis=0), axis=0) for of in (np.minimum, np.maximum))
    owners = min(_REACHED, 1 + len(first) // _SHARE)
    return least[owners - 1], most[-owners]


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _sum_rows(parts: Floats) -> Floats:
    """(d, n) -> (n,), halving the rows until one is left: always the same additions. Overwrites `parts`."""
    rows = len(parts)
    if not rows:
        return np.zeros(parts.shape[1])
    while rows > 1:
        half = (rows + 1) // 2
        parts[: rows - half] += parts[half:rows]
        rows = half
    total: Floats = parts[0]
    return total
