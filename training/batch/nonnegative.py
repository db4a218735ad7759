"""Logistic regression whose weights may not be negative and lean on what they were expected to be.

For the few numbers of a blend and of a calibration: a member that scores an order higher must not make the blend score
it lower, and where frauds are few the weights stay near the prior. Newton's method on the weights that are not held at
0; a step that overshoots is halved. The price: dense, a few columns only.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from features.columns import Floats, Floats2d
from training.metrics import Bools

_STEPS: Final = 100
_DONE: Final = 1e-10


def fitted(z: Floats2d, fraud: Bools, prior: Floats, l2: float) -> tuple[Floats, float]:
    """(n, d) inputs -> (d,) weights, each 0 or more, and the bias: the least log loss + l2/2 |weights - prior|^2.

    The bias bears no penalty. Raises ValueError where one class is absent.
    """
    if fraud.all() or not fraud.any():
        raise ValueError(f"{int(fraud.sum())} frauds among {len(fraud)} orders: want some of both")
    design = np.column_stack([z, np.ones(len(z))])
    y = fraud.astype(np.float64)
    lean, ridge = np.append(prior, 0.0), np.append(np.full(len(prior), l2), 0.0)
    rate = y.mean()
    theta = np.append(prior, np.log(rate / (1 - rate)) - float((z @ prior).mean()))
    loss = _loss(design, y, lean, ridge, theta)
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ theta, -500, 500)))
        slope = design.T @ (p - y) + ridge * (theta - lean)
        free = np.append((theta[:-1] > 0) | (slope[:-1] < 0), True)
        curve = (design[:, free] * (p * (1 - p))[:, None]).T @ design[:, free] + np.diag(ridge[free] + 1e-9)
        move = np.zeros_like(theta)
        move[free] = np.linalg.solve(curve, slope[free])
        before, at = loss, theta
        while True:
            theta = _held(at - move)
            loss = _loss(design, y, lean, ridge, theta)
            if loss <= before or np.abs(move).max() < _DONE:
                break
            move = move / 2
        if np.abs(theta - at).max() < _DONE:
            break
    return theta[:-1], float(theta[-1])


def _held(theta: Floats) -> Floats:
    return np.append(np.maximum(theta[:-1], 0.0), theta[-1])


def _loss(design: Floats2d, y: Floats, lean: Floats, ridge: Floats, theta: Floats) -> float:
    logit = design @ theta
    return float(np.logaddexp(0.0, logit).sum() - y @ logit + (ridge * (theta - lean) ** 2).sum() / 2)
