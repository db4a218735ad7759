"""Online logistic regression: River's, on squashed, scaled and bent inputs.

Each value is squashed by `log2_line`, as in models/logistic.py, and scaled by River's StandardScaler to z. Inputs are z
itself, as far as `reach` goes on both sides, and what of z lies above each of `bends`: a line that bends there, for
what matters little up to a point and much beyond. River's AdaGrad finds a step length for each input, so that rare ones
learn fast; an input that is 0 is not told, and costs nothing. A snapshot is the exact linear model that River has then
(models/online_logistic.py): scaling and sampling are folded into it.

The price: 2 us a column and 1 us an input that is not 0, each case that is learned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from river import linear_model, optim, preprocessing

from models.exact import Floats, inverse_log2_line, log2_line
from models.logistic import Input
from models.online_logistic import OnlineLogistic
from training.online.learner import Learner

_FLAT: Final = 1e-9  # an input whose squashed spread is below this has not varied yet


@dataclass(frozen=True, slots=True)
class LogisticSettings:
    """Chosen on days before any test period; docs/online.md has the figures."""

    rate: float = 1.0  # of goods that are learned: at .3 AP is .010 lower on the days it was chosen on
    step: float = 0.25
    bias_step: float = 0.02  # longer ones make all scores of an hour follow its last labels
    reach: float = 8.0  # standard deviations beyond which an input is clipped
    bends: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0)  # standard deviations above the mean


class LogisticLearner(Learner):
    """Learns; `scorer` is a snapshot."""

    kind: ClassVar[str] = "online_logistic"
    told = LogisticSettings

    def _new(self) -> Any:
        told = self.settings
        self._inputs = [f"{name} {bend}" for name in self.reads for bend in ("line", *told.bends)]
        return (
            preprocessing.StandardScaler(),
            linear_model.LogisticRegression(optim.AdaGrad(told.step), optim.losses.Log(), intercept_lr=told.bias_step),
        )

    def _learn(self, x: Floats, fraud: list[bool]) -> None:
        scaler, model = self.model
        for row, bad in zip(log2_line(x), fraud, strict=True):
            scaler.learn_one(dict(zip(self.reads, row.tolist(), strict=True)))
            bent = self._bent(row)
            told = np.flatnonzero(bent).tolist()
            model.learn_one(dict(zip([self._inputs[at] for at in told], bent[told].tolist(), strict=True)), bad)

    def _bent(self, row: Floats) -> Floats:
        """(r,) squashed values -> inputs, those of a column together."""
        center, spread = self._scale()
        off = np.divide(row - center, spread, out=np.zeros_like(row), where=spread > _FLAT)
        z = np.clip(off, -self.settings.reach, self.settings.reach)
        bent = [z, *(np.maximum(z - bend, 0.0) for bend in self.settings.bends)]
        return np.stack(bent, axis=1).ravel()

    def _scale(self) -> tuple[Floats, Floats]:
        scaler = self.model[0]
        center, variance = (np.array([of.get(name, 0.0) for name in self.reads]) for of in (scaler.means, scaler.vars))
        return center, np.sqrt(variance)

    def scorer(self, names: Sequence[str]) -> OnlineLogistic:
        """The linear model as it is now; inputs that have not varied are left out."""
        center, spread = self._scale()
        weights, reach = self.model[1].weights, self.settings.reach
        inputs = []
        for name, mean, wide in zip(self.reads, center.tolist(), spread.tolist(), strict=True):
            if wide <= _FLAT:
                continue
            usual, high = inverse_log2_line(mean), inverse_log2_line(mean + reach * wide)
            for bend, low in (("line", -reach), *((bend, bend) for bend in self.settings.bends)):
                weight = weights.get(f"{name} {bend}", 0.0) / wide
                inputs.append(Input(name, usual, inverse_log2_line(mean + low * wide), high, weight))
        bias = self.model[1].intercept + math.log(self.settings.rate)
        return OnlineLogistic(inputs, bias, names)
