"""Orders to train a network on, with frauds that only a look at several columns finds. Needs no torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.exact import Floats

STEPS = 4
NAMES = (
    "order_amount",
    "merchant_risk_7d",
    "user_mean_30d",
    "user_idle",
    "device_distinct_users_7d",
    *(
        f"user_recent_{channel}_{step}"
        for channel in ("amount", "gap_s", "same_device")
        for step in range(1, STEPS + 1)
    ),
)


def orders(n: int = 3000, seed: int = 6) -> tuple[Floats, npt.NDArray[np.bool_], list[str | None]]:
    """Vectors, labels and kinds: `card` where a dear order follows a run of small ones, `merchant` where the risk is
    high. `user_idle` never varies, and no device is known of the last orders.
    """
    rng = np.random.default_rng(seed)
    x: Floats = rng.lognormal(3, 1, (n, len(NAMES)))
    x[:, 1], x[:, 3] = rng.random(n) ** 4, 7.0
    known = rng.integers(0, STEPS + 1, n)
    for step in range(1, STEPS + 1):
        amount, gap, same = (5 + step - 1 + STEPS * channel for channel in range(3))
        x[known < step, amount], x[known < step, gap] = 0.0, -1.0
        x[:, same] = -1.0
    card = (x[:, 0] > 30) & (known >= 2) & (x[:, 5] < 15) & (x[:, 6] < 15)
    merchant = x[:, 1] > 0.7
    kinds = ["card" if c else "merchant" if m else None for c, m in zip(card.tolist(), merchant.tolist(), strict=True)]
    return x, card | merchant, kinds
