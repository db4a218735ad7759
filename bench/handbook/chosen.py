"""What was chosen on weeks before the test (docs/handbook.md has the table), and then left alone.

Columns: amounts and counts of an account over a day and more, how unusual its order is, and what labels say of
merchants. Windows of minutes and hours, what the whole shop does and who else bought there are left out: accounts of
this data order twice a day, and a week of frauds is too little to learn that such columns say nothing. So is what
labels say of accounts: the protocol takes known ones out of the test, but not out of the training.

Weights of the blend: what `python -m bench.handbook weigh` prints, by training/batch/weigh.py, on the same weeks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from training.batch.weigh import Weights

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
RECENT: Final = tuple(f"user_recent_{what}_{step}" for what in ("amount", "gap_s") for step in range(1, 9))
CHOSEN: Final[Mapping[str, Mapping[str, Any]]] = {
    "logistic": {"l2": 10.0, "bends": (0.9, 0.99)},
    "boosted": {"trees": 300, "leaves": 15, "rate": 0.03, "least_rows": 50, "columns": 0.8, "rows": 0.7, "ridge": 0.0},
    "forest": {"trees": 300, "depth": 20, "least_rows": 3, "columns": 0.3, "threads": 4},  # more change no file
    "network": {},  # its defaults were chosen on two of these weeks (docs/network.md)
}
BLEND: Final = "blend"  # of kinds above: each is fitted alone, and their log-odds are added up
WITH_MORE: Final[Mapping[str, Mapping[str, Any]]] = {  # where everything labelled is trained on: what differs
    "forest": {"trees": 100, "rows": 0.1},  # a tree sees as many orders as in a week
}
WEIGHTS: Final = Weights({"boosted": 0.301602, "forest": 0.447483, "logistic": 0.222418}, -0.0816354)
KINDS: Final = (*sorted(CHOSEN), BLEND)


def columns_of(kind: str) -> tuple[str, ...]:
    """What a kind is shown; the network alone is better for the account's last orders one by one."""
    return (*COLUMNS, *RECENT) if kind == "network" else COLUMNS
