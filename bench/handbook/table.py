"""A table of the shop's own vectors of the Handbook's transactions, each as a worker would have had it.

One row a transaction: its id, customer, terminal, amount and label as the data has them, `at_ms`, and the vector's
columns. The label is the truth, of whatever day: whoever trains on it must leave out what was not known yet.
The price: one process, 0.2 ms a transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from archive.arrow import pa, parquet
from bench.handbook.past import ranges
from features.definitions import Definitions
from features.replay import Rebuilt, Replay, replay
from features.shop import shop_definitions
from streams.data.dataset import Window
from streams.data.handbook import Handbook
from training import handbook
from training.handbook import Transactions
from training.provenance import revision

TOLD: Final = ("transaction", "at_ms", "customer", "terminal", "amount", "fraud")
GROUP_ROWS: Final = 25_000


def vectors(source: Handbook, definitions: Definitions, window: Window) -> Iterator[Rebuilt]:
    """The vectors of the window's orders, with nothing before it."""
    return replay(Replay(definitions, 1), ranges(source.records(window), definitions))


def write(data: Path, out: Path, window: Window, kept: Window) -> Mapping[str, Any]:
    """Replays the transactions of `window`, writes those of `kept`; returns what the file says of itself."""
    definitions, path = shop_definitions(), handbook.path_in(data)
    transactions = handbook.read(path)
    by_id = transactions.rows(np.argsort(transactions.id))
    facts = {
        "feature_hash": definitions.vector.hash,
        "data_hash": handbook.data_hash(path),
        "replayed_from_ms": str(window.since_ms),
        "revision": revision(),
    }
    schema = _schema(definitions.vector.names).with_metadata(facts)
    partly = out.with_suffix(".part")
    held: list[Any] = []
    with parquet.ParquetWriter(partly, schema, compression="zstd") as writer:
        for one in vectors(Handbook.under(data), definitions, window):
            held.append(_rows(one, by_id, schema, kept))
            if sum(len(rows) for rows in held) >= GROUP_ROWS:
                writer.write_table(pa.concat_tables(held))
                held = []
        writer.write_table(pa.concat_tables(held))
    partly.rename(out)
    return facts | {"rows": parquet.read_metadata(out).num_rows}


def _schema(names: tuple[str, ...]) -> Any:
    types = (pa.int64(), pa.int64(), pa.int64(), pa.int64(), pa.float64(), pa.bool_())
    own = [pa.field(name, type_) for name, type_ in zip(TOLD, types, strict=True)]
    return pa.schema([*own, *(pa.field(name, pa.float64()) for name in names)])


def _rows(one: Rebuilt, by_id: Transactions, schema: Any, kept: Window) -> Any:
    at_ms = one.columns.at_ms
    wanted = (at_ms >= kept.since_ms) & (at_ms < kept.until_ms)
    number = np.array([int(event.order_id.removeprefix("fh-")) for event in one.columns.events], np.int64)[wanted]
    of = by_id.rows(np.searchsorted(by_id.id, number))
    told = (of.id, at_ms[wanted], of.customer, of.terminal, of.amount, of.fraud)
    return pa.Table.from_arrays([pa.array(column) for column in (*told, *one.rows[wanted].T)], schema=schema)
