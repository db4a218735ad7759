"""Rows to learn from: inputs in float32 and what is known of each order, as tensors in the order of time.

    fraud  0 or 1
    type   which kind of fraud, by its place among the kinds; -1: good, or not known
    risk   the money at stake as a share of a large order's: 0 for a good order, 1 for a fraud of `large` or more; both
           amounts squashed (`exact.log2_line`), so that a fraud of 20 counts for more than a tenth of one of 200

The price: all rows lie in memory, four bytes an input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.exact import Floats, log2_line
from models.network_inputs import Inputs
from training.network.framework import Tensor, torch

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

UNKNOWN: Final = -1
_BLOCK: Final = 8192  # rows made at a time: what is needed on the way stays small


@dataclass(frozen=True, slots=True)
class Rows:
    """Tensors of n rows."""

    x: Tensor  # (n, w)
    fraud: Tensor  # (n,)
    type: Tensor  # (n,)
    risk: Tensor  # (n,)

    def __len__(self) -> int:
        return len(self.x)

    def at(self, places: Tensor, device: str) -> Rows:
        """Some of them, where they are computed on."""
        return Rows(*(part[places].to(device) for part in (self.x, self.fraud, self.type, self.risk)))


def rows_of(x: Floats, fraud: Bools, inputs: Inputs, *, kind: Ints, amount: Floats, large: float) -> Rows:
    """(n, d) vectors with what is known of each: (n,) `kind` as in `type`, (n,) `amount` in the unit of `large`."""
    stake = np.where(fraud, np.minimum(log2_line(np.maximum(amount, 0.0)) / log2_line(np.array([large])), 1.0), 0.0)
    return Rows(
        x=inputs_in_blocks(x, inputs),
        fraud=torch.from_numpy(fraud.astype(np.float32)),
        type=torch.from_numpy(np.where(fraud, kind, UNKNOWN)),
        risk=torch.from_numpy(stake.astype(np.float32)),
    )


def inputs_in_blocks(x: Floats, inputs: Inputs) -> Tensor:
    """(n, d) -> (n, w)"""
    out = np.empty((len(x), inputs.shape.width), dtype=np.float32)
    for at in range(0, len(x), _BLOCK):
        out[at : at + _BLOCK] = inputs.of(x[at : at + _BLOCK])
    return torch.from_numpy(out)
