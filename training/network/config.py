"""What a network is made of and how it is trained; the defaults were chosen on days before any test period.

The price of each knob is in docs/network.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Config:
    """All numbers of a training but the seed; a checkpoint goes on only under the same ones."""

    width: int = 32  # of a token
    hidden: int = 64  # of an encoder and of the fusion
    attention_heads: int = 4
    dropout: float = 0.1
    batch: int = 512
    epochs: int = 8
    rate: float = 2e-3  # of learning, at its highest
    warm: float = 0.05  # share of the steps until it is there
    decay: float = 0.3  # of weights, decoupled
    clip: float = 1.0  # norm of the gradient
    average: float = 0.995  # what the served weights keep of themselves each step
    fraud_weight: float = 1.0  # of a fraud in the loss; the score is corrected for it
    focal: float = 0.0  # exponent by which rows that are clear already count less; 0: all count alike
    type_share: float = 0.1  # of the loss: kinds of fraud, over frauds whose kind is known
    risk_share: float = 0.1  # of the loss: money at risk
    patience: int = 3  # epochs without a better metric before it ends early
    threads: int = 1  # of torch's; sums are rounded otherwise with more

    def __post_init__(self) -> None:
        if self.width % self.attention_heads:
            raise ValueError(f"width {self.width}: want a multiple of attention_heads {self.attention_heads}")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
