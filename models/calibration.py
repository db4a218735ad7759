"""Calibration: what turns a model's log-odds into log-odds that hold, so that of orders scored .2 a fifth are frauds.

A calibration never falls, so it changes no ranking; it maps log-odds to log-odds. There are two:
- `Beta`: three numbers, for when frauds are few. Beta calibration (Kull, Silva Filho and Flach, 2017) in terms of
  log-odds: one slope for orders that are unlikely frauds, one for likely ones, and a shift. With equal slopes it is
  Platt's; with slopes 1 and shift 0 it changes nothing.
- `Lines`: straight lines between a few points, for when frauds are many: isotonic regression whose steps were made
  slopes, so that orders do not come to share a score. Beyond the first and the last point the slope is 1.

They are fitted by training/batch/calibrate.py. Values have the same bytes on any CPU (exact.py).
The price: what is fitted on one week says how fraud was that week; a rate that moves is only mended by a new fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from models.documents import ArtefactError, number
from models.exact import Floats, softplus


class Calibration(Protocol):
    """A map of log-odds that never falls."""

    def logit(self, raw: Floats) -> Floats:
        """(n,) finite log-odds of a model -> (n,) calibrated ones."""
        ...

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        ...


@dataclass(frozen=True, slots=True)
class Beta:
    """`below` and `above` are the slopes far below and far above even odds, each 0 or more."""

    below: float = 1.0
    above: float = 1.0
    shift: float = 0.0

    def logit(self, raw: Floats) -> Floats:
        return self.shift - self.below * softplus(-raw) + self.above * softplus(raw)

    def document(self) -> dict[str, Any]:
        return {"kind": "beta", "below": self.below, "above": self.above, "shift": self.shift}


@dataclass(frozen=True, slots=True)
class Lines:
    """Through the points (`at`, `to`): `at` rises, `to` never falls. At least one point."""

    at: tuple[float, ...]
    to: tuple[float, ...]

    def logit(self, raw: Floats) -> Floats:
        at = np.array([self.at[0] - 1.0, *self.at, self.at[-1] + 1.0])
        to = np.array([self.to[0] - 1.0, *self.to, self.to[-1] + 1.0])
        left = np.clip(np.searchsorted(at, raw, side="right") - 1, 0, len(at) - 2)
        share = (raw - at[left]) / (at[left + 1] - at[left])  # not np.interp: some compilers fuse its * and +
        risen = share * (to[left + 1] - to[left])
        line: Floats = to[left] + risen
        return line

    def document(self) -> dict[str, Any]:
        return {"kind": "lines", "at": list(self.at), "to": list(self.to)}


UNCHANGED: Final = Beta()
_MOST: Final = 1e3  # log-odds and slopes beyond it mean nothing, and their products would overflow


def calibration_of(document: Any, where: str) -> Calibration:
    """A calibration as JSON has it; raises ArtefactError."""
    kind = document.get("kind") if isinstance(document, Mapping) else None
    if kind == "beta":
        below, above, shift = (bounded(document.get(key), f"{where}: {key}") for key in ("below", "above", "shift"))
        if min(below, above) < 0:
            raise ArtefactError(f"{where}: slopes {below} and {above}: want 0 or more, or a higher score would fall")
        return Beta(below, above, shift)
    if kind == "lines":
        at, to = _numbers(document.get("at"), f"{where}: at"), _numbers(document.get("to"), f"{where}: to")
        if not at or len(at) != len(to) or not _rises(at, strictly=True) or not _rises(to, strictly=False):
            raise ArtefactError(f"{where}: at = {at}, to = {to}: want as many of both, `at` rising, `to` never falling")
        return Lines(at, to)
    raise ArtefactError(f"{where}: kind {kind!r}: want 'beta' or 'lines'")


def _numbers(values: Any, where: str) -> tuple[float, ...]:
    if not isinstance(values, list):
        raise ArtefactError(f"{where} = {values!r}: want a list of numbers")
    return tuple(bounded(value, where) for value in values)


def bounded(value: Any, where: str) -> float:
    """A number of a size that log-odds can have; raises ArtefactError."""
    found = number(value, where)
    if abs(found) > _MOST:
        raise ArtefactError(f"{where} = {found!r}: want {-_MOST:g} to {_MOST:g}")
    return found


def _rises(values: tuple[float, ...], *, strictly: bool) -> bool:
    steps = np.diff(values)
    return bool((steps > 0).all() if strictly else (steps >= 0).all())
