"""A synthetic shop with a known signal: labelled orders as a table, and as the training set that says the same.

Frauds spend more than the card is used to and come in a hurry; either alone is common among good orders, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from archive.arrow import pa, parquet
from features.columns import Floats
from schemas.timestamps import rfc3339
from training.batch.table import Table
from training.sets import file

DAY_MS = 86_400_000
START_MS = 20_000 * DAY_MS
NAMES = ("order_amount", "ratio", "hurry", "idle")
HASH = "0123456789abcdef"


def shop(
    days: int = 40,
    a_day: int = 120,
    *,
    seed: int = 1,
    rate: float = 0.06,
    signal: float = 1.0,
    mature_days: float = 5.0,
    first_day: int = 0,
    cards: int = 400,
) -> Table:
    """`signal` 0: nothing tells frauds apart."""
    rng = np.random.default_rng(seed)
    n = days * a_day
    at_ms = START_MS + first_day * DAY_MS + np.sort(rng.integers(0, days * DAY_MS, n))
    fraud = rng.random(n) < rate
    usual = rng.lognormal(3.0, 0.6, n)
    ratio = np.exp(rng.normal(0.0, 0.7, n) + signal * 1.3 * fraud)
    hurry = rng.normal(0.0, 1.0, n) + signal * 1.2 * fraud
    x: Floats = np.column_stack([usual * ratio, ratio, hurry, np.zeros(n)])
    owner = rng.integers(0, cards, n)
    types = tuple("chargeback" if bad else None for bad in fraud.tolist())
    return Table(x, fraud, at_ms, owner, types, NAMES, HASH, "d" * 16, mature_ms=round(mature_days * DAY_MS))


def changed(table: Table, **fields: Any) -> Table:
    return Table(**{name: getattr(table, name) for name in table.__dataclass_fields__} | fields)


def with_column(table: Table, name: str, values: Floats) -> Table:
    """The table with one column more."""
    return changed(table, x=np.column_stack([table.x, values]), names=(*table.names, name))


def written(table: Table, path: Path, *, matured: Any = True, label: Any = None, **facts: Any) -> Path:
    """The set of a table, as `headrace features build` writes it."""
    n = len(table)
    told: dict[str, Any] = {
        "decision_id": [f"d-{at}" for at in range(n)],
        "event_id": [f"e-{at}" for at in range(n)],
        "event_time": pa.array(table.at_ms, file.UTC_MS),
        "card_id": [f"c-{one}" for one in table.owner.tolist()],
        "replayed": np.zeros(n, np.bool_),
        "exact": np.ones(n, np.bool_),
        "label": pa.array(table.fraud.astype(np.int8)) if label is None else pa.array(label, pa.int8()),
        "label_type": pa.array(table.types, pa.string()),
        "matured": np.broadcast_to(matured, n).copy(),
    }
    about = {
        "from": rfc3339(int(table.at_ms[0]) // DAY_MS * DAY_MS),
        "to": rfc3339(int(table.at_ms[-1]) // DAY_MS * DAY_MS + DAY_MS),
        "feature_hash": table.feature_hash,
        "data_hash": table.hash,
        "mature_after_ms": table.mature_ms,
    }
    schema = file.schema_of(table.names, about | facts)
    columns = [pa.array(told[f.name], f.type) if f.name in told else pa.nulls(n, f.type) for f in file.TOLD]
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_arrays([*columns, *map(pa.array, table.x.T)], schema=schema), path)
    return path
