"""What was chosen on weeks before the test (docs/handbook.md has the table), and then left alone.

Columns: amounts and counts of an account over a day and more, how unusual its order is, and what labels say of
merchants. Windows of minutes and hours, what the whole shop does and who else bought there are left out: accounts of
this data order twice a day, and a week of frauds is too little to learn that such columns say nothing. So is what
labels say of accounts: the protocol takes known ones out of the test, but not out of the training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SEED: Final = 20180725
LONG: Final = ("24h", "7d", "30d")
RISKS: Final = ("risk_1d", "risk_7d", "risk_30d", "known_frauds_30d")
SINCE: Final = ("days_since_last_fraud_30d", "days_since_first_fraud_30d")
COLUMNS: Final = (
    "order_amount",
    *(f"user_{what}_{window}" for window in LONG for what in ("count", "sum", "mean", "max", "spread")),
    "user_vs_usual_30d",
    "user_outlying_30d",
    "user_order_to_mean_30d",
    "user_order_to_max_30d",
    "user_mean_7d_to_mean_30d",
    "user_max_7d_to_mean_30d",
    "user_max_24h_to_mean_30d",
    *(f"merchant_{what}" for what in ("count_7d", "count_30d", *RISKS, *SINCE, "fraud_streak_4w")),
)
CHOSEN: Final[Mapping[str, Mapping[str, Any]]] = {
    "logistic": {"l2": 10.0, "bends": (0.9, 0.99)},
    "boosted": {"trees": 300, "leaves": 15, "rate": 0.03, "least_rows": 50, "columns": 0.8, "rows": 0.7, "ridge": 0.0},
    "forest": {"trees": 300, "depth": 20, "least_rows": 3, "columns": 0.3},
    "network": {},  # its defaults were chosen on two of these weeks (docs/network.md)
}
