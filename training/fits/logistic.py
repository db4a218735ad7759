"""Fitting logistic regression: the likeliest weights on standardised, squashed inputs, by Newton's method.

What is fitted is the value of models/logistic.py. A range ends where few owners (customers) went, not few orders: one
dear purchase stands in the windows of all orders after it. The standardisation is folded into what is kept. Inputs that
never vary are left out.
The price: the Hessian of d inputs is d x d, solved some ten times: fit for hundreds of columns, not for millions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from models.exact import Floats, inverse_log2_line, log2_line
from models.logistic import Input, Logistic, Squash
from training.fits.table import with_both

Ints = npt.NDArray[np.int64]

DIGITS: Final = 6  # significant ones of a fitted number: enough, readable, and stable against the last bits of BLAS
_REACHED: Final = 30  # owners that went to the end of an input's range: the least that a mean is usually trusted with
_SHARE: Final = 20  # where owners are few, one in so many is enough
_FLAT: Final = 1e-9  # an input whose squashed spread is below this never varies


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
    with_both(fraud)
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
    return float(f"{value:.{DIGITS}g}")
