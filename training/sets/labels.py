"""Labels as they were known at a moment T: what was said later, or became known later, is as if it had never been.

A label was known at T if its record and what it tells of are both dated T or before. What is known of an order is what
its newest label says, by (event time, event id), as with the workers (features/orders.py); so a chargeback that was
reversed before T is none, and one that was reversed after T still is one. The price: some 100 bytes a label in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from archive.arrow import pa
from features.columns import Ints
from features.orders import statement
from schemas.decode import Decoded, decode_batch
from schemas.events import type_of
from schemas.ids import hashes64
from training.sets.asked import Bools
from training.sets.parts import Records

Decode = Callable[[Sequence[bytes | None]], Decoded]

TOPIC: Final = "labels"
decode_labels: Final[Decode] = partial(decode_batch, TOPIC)
_SCHEMA: Final = pa.schema(
    [
        ("hash", pa.uint64()),
        ("order_id", pa.string()),
        ("at_ms", pa.int64()),
        ("event_id", pa.string()),
        ("type", pa.string()),
        ("fraud", pa.bool_()),
    ]
)
_NEWEST_LAST: Final = [(name, "ascending") for name in ("hash", "order_id", "at_ms", "event_id")]


@dataclass(frozen=True, slots=True)
class Said:
    """What was known of (n,) orders; the others mean nothing where there is no label."""

    known: Bools
    fraud: Bools
    at_ms: Ints
    type: Any  # Arrow strings


class Labels:
    """By order id, the newest label of each."""

    def __init__(self, tables: Sequence[Any]) -> None:
        every = pa.concat_tables([_SCHEMA.empty_table(), *tables]).sort_by(_NEWEST_LAST)
        orders = every.column("order_id").to_numpy()
        last = np.ones(len(every), np.bool_)
        last[:-1] = orders[1:] != orders[:-1]
        self._newest = every.filter(pa.array(last)).combine_chunks()
        self._hash = np.asarray(self._newest.column("hash"))

    def __len__(self) -> int:
        return len(self._newest)

    def of(self, order_ids: Sequence[str | None]) -> Said:
        """What is known of each order."""
        hashes = hashes64([order or "" for order in order_ids])
        place = np.searchsorted(self._hash, hashes)
        known = place < len(self._hash)
        known[known] = self._hash[place[known]] == hashes[known]
        found = self._newest.take(pa.array(np.where(known, place, -1), mask=~known))
        same = [one == other for one, other in zip(found.column("order_id").to_pylist(), order_ids, strict=True)]
        known &= np.array(same, np.bool_)
        return Said(
            known,
            np.asarray(found.column("fraud").fill_null(False)).astype(np.bool_) & known,
            np.asarray(found.column("at_ms").fill_null(0)),
            found.column("type").combine_chunks(),
        )


def known_at(as_of_ms: int, records: Iterable[Records], digest: Any, decode: Decode = decode_labels) -> Labels:
    """The labels among records that are all dated T or before; `digest` is told of each that speaks."""
    tables = []
    for some in records:
        decoded = decode(some.values)
        rows = [
            (place, label, at_ms, fraud)
            for place, (label, at_ms) in enumerate(zip(decoded.events, decoded.at_ms.tolist(), strict=True))
            if label is not None and at_ms <= as_of_ms and (fraud := statement(label)) is not None
        ]
        for place, *_ in rows:
            digest.update(some.values[place])
        tables.append(_table(rows))
    return Labels(tables)


def _table(rows: Sequence[tuple[int, Any, int, bool]]) -> Any:
    labels = [label for _, label, *_ in rows]
    orders = [label.order_id for label in labels]
    columns = (
        hashes64(orders),
        orders,
        [at_ms for *_, at_ms, _ in rows],
        [label.event_id for label in labels],
        [type_of(label) for label in labels],
        [fraud for *_, fraud in rows],
    )
    return pa.Table.from_arrays(
        [pa.array(column, kind.type) for column, kind in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA
    )
