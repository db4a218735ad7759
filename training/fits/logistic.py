"""Fitting logistic regression: the likeliest weights on standardised, squashed inputs, by Newton's method.

What is fitted is the value of models/logistic.py. A range ends where few owners (customers) went, not few orders: one
dear purchase stands in the windows of all orders after it. The standardisation is folded into what is kept. Inputs that
never vary are left out.
The inputs are made some rows at a time, anew in each step: that is no dearer than to read them from a copy of all of
them, and the memory is that of the vectors and a few megabytes.
The price: the Hessian of d inputs is d x d, solved some ten times: fit for hundreds of columns, not for millions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.exact import Floats, inverse_log2_line, log2_line
from models.logistic import Input, Logistic, Squash
from training.fits.progress import Progress, Step
from training.fits.table import with_both

Ints = npt.NDArray[np.int64]

DIGITS: Final = 6  # significant ones of a fitted number: enough, readable, and stable against the last bits of BLAS
ROWS: Final = 4_096  # at once: ten megabytes
COLUMNS: Final = 8  # at once, where a column is looked at as a whole
STEPS: Final = 100
_REACHED: Final = 30  # owners that went to the end of an input's range: the least that a mean is usually trusted with
_SHARE: Final = 20  # where owners are few, one in so many is enough
_FLAT: Final = 1e-9  # an input whose squashed spread is below this never varies
_STILL: Final = 1e-9  # a step so small is the last

Pieces = Callable[[], Iterator[tuple[slice, Floats]]]
"""The inputs, (m, d + 1) at a time with a last column of ones, each with its rows; made anew whenever it is asked, and
to be changed by whoever asked."""


def for_ever(step: Step) -> bool:
    """Nobody watches."""
    del step
    return True


def fit(
    x: Floats,
    fraud: npt.NDArray[np.bool_],
    names: Sequence[str],
    *,
    l2: float = 1.0,
    squash: Squash = "log2",
    bends: Sequence[float] = (),
    owner: Ints | None = None,
    progress: Progress = for_ever,
) -> Logistic:
    """The likeliest model for (n, d) vectors and (n,) labels, with a ridge of strength `l2` on standardised inputs.

    `bends` are quantiles: each column is offered once more from there on. Without them it is what scikit-learn's
    LogisticRegression(C=1/l2) finds on the same inputs. `owner` (n,) says whose a row is: the rows of one are one
    witness to how far an input goes (None: each row is its own). Where `progress` ends it, it is the best so far.
    Raises ValueError where one class is absent.
    """
    with_both(fraud)
    inputs = _inputs(x, squash, bends, np.arange(len(x)) if owner is None else owner)
    weight, bias = newton(inputs.pieces, fraud.astype(np.float64), l2, progress)
    of_inputs = [
        Input(
            name=names[column],
            usual=_short(inverse_log2_line(center) if squash == "log2" else center),
            low=_short(low),
            high=_short(high),
            weight=_short(w / spread),
        )
        for column, low, high, center, spread, w in zip(*inputs.described(), weight.tolist(), strict=True)
    ]
    return Logistic(of_inputs, _short(bias), names, squash)


# ---- the inputs


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What is made of the columns of `x`: each clipped, squashed and standardised; (k,) each."""

    x: Floats
    squash: Squash
    column: Ints
    low: Floats
    high: Floats
    center: Floats
    spread: Floats

    def described(self) -> Iterator[list[float]]:
        for one in (self.column, self.low, self.high, self.center, self.spread):
            yield one.tolist()

    def pieces(self) -> Iterator[tuple[slice, Floats]]:
        for begin in range(0, len(self.x), ROWS):
            rows = slice(begin, begin + ROWS)
            z = np.empty((len(self.x[rows]), len(self.column) + 1))
            z[:, :-1] = _squashed(np.take(self.x[rows], self.column, axis=1), self.low, self.high, self.squash)
            z[:, :-1] -= self.center
            z[:, :-1] /= self.spread
            z[:, -1] = 1.0
            yield rows, z


def _inputs(x: Floats, squash: Squash, bends: Sequence[float], owner: Ints) -> _Inputs:
    """Those that vary. What is of one column stands together, the whole of it first."""
    low, high = _ranges(x, squash, bends, owner)
    columns = np.tile(np.arange(x.shape[1]), 1 + len(bends))
    center, spread = np.empty(len(columns)), np.empty(len(columns))
    for at in _blocks(len(columns)):
        z = _squashed(x[:, columns[at]], low[at], high[at], squash)
        center[at], spread[at] = z.mean(axis=0), z.std(axis=0)
    used = np.flatnonzero(spread > _FLAT)
    used = used[np.argsort(columns[used], kind="stable")]
    return _Inputs(x, squash, columns[used], low[used], high[used], center[used], spread[used])


def _squashed(values: Floats, low: Floats, high: Floats, squash: Squash) -> Floats:
    clipped = np.clip(values, low, high)
    return log2_line(clipped) if squash == "log2" else clipped


def _blocks(columns: int) -> list[slice]:
    return [slice(begin, begin + COLUMNS) for begin in range(0, columns, COLUMNS)]


def _ranges(x: Floats, squash: Squash, bends: Sequence[float], owner: Ints) -> tuple[Floats, Floats]:
    """Where inputs are clipped, the whole columns first; as far as they go where they are taken as they are."""
    lowest, highest = (x.min(axis=0), x.max(axis=0)) if squash == "none" else _reached(x, owner)
    bent = [np.concatenate([np.quantile(x[:, at], bend, axis=0) for at in _blocks(x.shape[1])]) for bend in bends]
    low = np.concatenate([lowest, *bent])
    return low, np.maximum(np.tile(highest, 1 + len(bends)), low)


def _reached(x: Floats, owner: Ints) -> tuple[Floats, Floats]:
    """(d,) each: the smallest and the largest value that _REACHED owners went to; one in _SHARE where that is less."""
    order = np.argsort(owner, kind="stable")
    first = np.unique(owner[order], return_index=True)[1]
    owners = min(_REACHED, 1 + len(first) // _SHARE)
    ends = [_ends(x[order, at], first, owners) for at in _blocks(x.shape[1])]
    low, high = (np.concatenate(one) for one in zip(*ends, strict=True))
    return low, high


def _ends(x: Floats, first: Ints, owners: int) -> tuple[Floats, Floats]:
    """Of some columns, their rows by owner."""
    least, most = (np.sort(of.reduceat(x, first, axis=0), axis=0) for of in (np.minimum, np.maximum))
    return least[owners - 1], most[-owners]


# ---- the fit


def newton(pieces: Pieces, y: Floats, l2: float, progress: Progress = for_ever) -> tuple[Floats, float]:
    """Weights and bias that minimise log loss + l2/2 |weights|^2: Newton's method, halving a step that overshoots.

    The inputs are standardised; `y` (n,) 0 or 1. The bias bears no penalty. Where `progress` says so it ends with the
    last whole step, or before there is one with the share of ones alone.
    """
    d = next(pieces())[1].shape[1]
    ridge = np.full(d, l2)
    ridge[-1] = 0.0
    theta = np.zeros(d)
    at = _at(pieces, y, ridge, theta, lambda: progress(Step(0, STEPS)))
    if at is None:
        return theta[:-1], float(np.log(y.mean() / (1 - y.mean())))
    for step in range(1, STEPS + 1):
        move, going_on = np.linalg.solve(at.curve, at.slope), partial(progress, Step(step, STEPS))
        while (found := _at(pieces, y, ridge, theta - move, going_on)) is not None:
            if found.loss <= at.loss or np.abs(move).max() <= _STILL:
                break
            move /= 2
        if found is None:
            break
        theta, at = theta - move, found
        if np.abs(move).max() < _STILL:
            break
    return theta[:-1], float(theta[-1])


class _At(NamedTuple):
    """The loss at some weights, its slope and its curvature there."""

    loss: float
    slope: Floats
    curve: Floats


def _at(pieces: Pieces, y: Floats, ridge: Floats, theta: Floats, going_on: Callable[[], bool]) -> _At | None:
    """All of it in one look at the inputs; None where there was no time for that."""
    loss, slope, curve = float((ridge * theta**2).sum() / 2), ridge * theta, np.diag(ridge + 1e-9)
    for rows, z in pieces():
        if not going_on():
            return None
        logit = z @ theta
        p = 1.0 / (1.0 + np.exp(-logit))
        loss += float(np.logaddexp(0.0, logit).sum() - y[rows] @ logit)
        slope += z.T @ (p - y[rows])
        z *= np.sqrt(p * (1.0 - p))[:, None]
        curve += z.T @ z
    return _At(loss, slope, curve)


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
