"""Weigh: the weights of a blend and its calibration, each found on days that the members have not seen.

Weights are 0 or more and lean on equal ones, in the measure of a few frauds' worth of evidence: with thirty frauds a
blend is nearly the mean of its members, with thousands it is what the days say. Members that never saw a label (an
isolation forest) lean on 0. Numbers are kept to six digits: enough, and the last bits of BLAS are not in the artefact.

A calibration is as rich as there are frauds: a shift, then Platt's line, then beta's three numbers, then lines between
points that each stand for many frauds.
The price: what the newest days were like by chance is in the weights; the held-out days say what that costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from features.columns import Floats
from models.blend import CLIP
from models.calibration import Beta, Calibration, Lines
from models.exact import logit, softplus
from training.batch.nonnegative import fitted
from training.metrics import Bools

WEIGHT_L2: Final = 10.0  # leans on the prior as ten or twenty frauds would
SLOPE_L2: Final = 5.0
PLATT_FROM, BETA_FROM, LINES_FROM = 20, 100, 1_000  # frauds
_PER_POINT: Final = 100  # frauds that a point of the lines stands for, at least
_POINTS: Final = 12
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Weights:
    """What a blend adds up."""

    of: Mapping[str, float]
    bias: float


def weights(told: Mapping[str, Floats], fraud: Bools, unlabelled: frozenset[str] = frozenset()) -> Weights:
    """The weights for members' scores (n,) on days they have not seen; `unlabelled` members lean on 0."""
    if len(told) == 1:
        return Weights(dict.fromkeys(told, 1.0), 0.0)
    labelled = max(len(told.keys() - unlabelled), 1)
    prior = np.array([0.0 if name in unlabelled else 1.0 / labelled for name in told])
    z = np.column_stack([log_odds(score) for score in told.values()])
    found, bias = fitted(z, fraud, prior, WEIGHT_L2)
    return Weights({name: short(one) for name, one in zip(told, found.tolist(), strict=True)}, short(bias))


def calibration(raw: Floats, fraud: Bools) -> Calibration:
    """The one that makes log-odds (n,) hold on days that neither members nor weights have seen."""
    frauds = int(fraud.sum())
    if frauds < PLATT_FROM:
        return Beta(shift=short(_shift(raw, frauds / max(len(raw), 1))) if frauds else 0.0)
    if frauds < BETA_FROM:
        slope, shift = fitted(raw[:, None], fraud, np.ones(1), SLOPE_L2)
        return Beta(short(slope[0]), short(slope[0]), short(shift))
    if frauds < LINES_FROM or (lines := _lines(raw, fraud)) is None:
        slopes, shift = fitted(np.column_stack([-softplus(-raw), softplus(raw)]), fraud, np.ones(2), SLOPE_L2)
        return Beta(short(slopes[0]), short(slopes[1]), short(shift))
    return lines


def log_odds(score: Floats) -> Floats:
    """As a blend takes them."""
    return logit(np.clip(score, CLIP, 1.0 - CLIP))


def short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _shift(raw: Floats, rate: float) -> float:
    """What must be added so that the mean risk is the rate: by halving an interval."""
    low, high = -40.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        risk = 1.0 / (1.0 + np.exp(-np.clip(raw + middle, -500, 500)))
        low, high = (middle, high) if risk.mean() < rate else (low, middle)
    return (low + high) / 2


def _lines(raw: Floats, fraud: Bools) -> Lines | None:
    """Isotonic regression on bins of as many frauds each; None where it would be one step."""
    order = np.argsort(raw, kind="stable")
    told, bad = raw[order], fraud[order].astype(np.float64)
    frauds = np.cumsum(bad)
    points = int(min(_POINTS, frauds[-1] // _PER_POINT))
    cuts = np.searchsorted(frauds, frauds[-1] * np.arange(1, points) / points, side="left") + 1
    bins = zip(np.split(bad, cuts), np.split(told, cuts), strict=True)
    pooled = _pooled([(float(len(each)), float(each.sum()), float(raws.sum())) for each, raws in bins if len(each)])
    at, to = list[float](), list[float]()
    for n, frauds_there, total in pooled:
        where, level = short(total / n), short(float(np.log((frauds_there + 0.5) / (n - frauds_there + 0.5))))
        if not at or (where > at[-1] and level >= to[-1]):
            at.append(where)
            to.append(level)
    return Lines(tuple(at), tuple(to)) if len(at) > 1 else None


def _pooled(bins: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Orders, frauds and summed log-odds of bins, neighbours merged until the rate rises (pool adjacent violators)."""
    kept = list[tuple[float, float, float]]()
    for one in bins:
        kept.append(one)
        while len(kept) > 1 and kept[-2][1] / kept[-2][0] >= kept[-1][1] / kept[-1][0]:
            last, before = kept.pop(), kept.pop()
            kept.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
    return kept
