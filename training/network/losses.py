"""What a network is trained to make small: three questions about an order, one number.

    fraud  cross-entropy; a fraud counts `fraud_weight` times, and `focal` lets clear rows count less
           (Lin et al., "Focal Loss for Dense Object Detection", 2017)
    type   cross-entropy over the kinds, of frauds whose kind is known
    risk   cross-entropy to the share of money at stake, whose best answer is the mean

All are sums over the batch divided by its rows, so that several ranks' means are the mean of the whole batch.
"""

from __future__ import annotations

from training.network.config import Config
from training.network.framework import Tensor, torch
from training.network.rows import UNKNOWN, Rows


def loss_of(told: Tensor, rows: Rows, config: Config) -> Tensor:
    """(B, 2 + types) logits -> ()"""
    one = torch.nn.functional
    fraud, risk, types = told[:, 0], told[:, 1], told[:, 2:]  # (B,), (B,), (B, K)
    each = one.binary_cross_entropy_with_logits(fraud, rows.fraud, reduction="none")  # (B,)
    if config.focal:
        each = each * (1.0 - torch.exp(-each)) ** config.focal
    total = (each * (1.0 + (config.fraud_weight - 1.0) * rows.fraud)).mean()
    if config.risk_share:
        total = total + config.risk_share * one.binary_cross_entropy_with_logits(risk, rows.risk)
    if config.type_share and types.shape[1]:
        of_known = one.cross_entropy(types, rows.type, ignore_index=UNKNOWN, reduction="sum") / len(types)
        total = total + config.type_share * of_known
    return total
