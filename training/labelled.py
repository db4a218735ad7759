"""Labelled tables: any Parquet or CSV file with a time, an id, a label and numbers becomes cases to judge.

A training set of `headrace features build` is read as what it is: its features are those of its footer's columns, a
good order counts once it has matured, and a label is due no earlier than it was told (`label_time`). Of any other table
all numbers are features, but for those that are named. The price: the whole table is in memory, 8 bytes a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from archive.arrow import pa, parquet
from schemas.timestamps import epoch_ms
from training.metrics import Bools, Floats, Ints
from training.prequential import Cases
from training.sets.file import TOLD

FOOTER: Final = b"headrace"
_GUESSED: Final = {"time": "event_time", "id": "event_id", "label": "label", "owner": "user_id"}


class TableError(ValueError):
    """A table that cannot be judged; the message names the column, what it has and the remedy."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which columns are what; None: as `headrace features build` calls them."""

    time: str | None = None
    id: str | None = None
    label: str | None = None
    owner: str | None = None  # whose a case is; without one each case is its own
    features: Sequence[str] = ()  # none: all numbers
    without: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """A labelled table: (n,) each but `x`."""

    names: tuple[str, ...]
    x: Floats  # (n, d)
    at_ms: Ints
    id: Ints  # ranks of the ids
    fraud: Bools
    known: Bools
    told_ms: Ints  # when the label was told, as far as the table says; else 0
    owner: Ints


def read(path: Path, asked: Asked = Asked()) -> Table:
    """The table of a file, or of a folder of Parquet files; raises TableError."""
    try:
        table = _csv(path) if path.suffix == ".csv" else parquet.read_table(str(path))
    except (OSError, pa.ArrowException) as error:
        raise TableError(
            f"{path}: cannot be read as {'CSV' if path.suffix == '.csv' else 'Parquet'}: {error}"
        ) from error
    found = {what: _column(table, what, getattr(asked, what)) for what in _GUESSED}
    names = _features(table, asked, [name for name in found.values() if name])
    at_ms, label = _moments(table, str(found["time"])), _labels(table, str(found["label"]))
    known = label >= 0
    if _is_set(table) and "matured" in table.column_names:
        known &= np.asarray(table.column("matured").to_numpy(zero_copy_only=False), dtype=np.bool_)
    told = "label_time" if "label_time" in table.column_names else None
    return Table(
        names=tuple(names),
        x=np.column_stack([_numbers(table, name) for name in names]),
        at_ms=at_ms,
        id=_ranks(table, str(found["id"])),
        fraud=label == 1,
        known=known,
        told_ms=_moments(table, told, missing=0) if told else np.zeros(len(at_ms), dtype=np.int64),
        owner=_ranks(table, found["owner"]) if found["owner"] else np.arange(len(at_ms)),
    )


def cases_of(table: Table, delay_ms: int, from_ms: int | None = None, to_ms: int | None = None) -> Cases:
    """The cases with labels that come `delay_ms` late; those from `from_ms` (None: the first label is due) count."""
    due_ms = np.maximum(table.at_ms + delay_ms, table.told_ms)
    since = int(due_ms[table.known].min(initial=np.iinfo(np.int64).max)) if from_ms is None else from_ms
    counts = table.known & (table.at_ms >= since)
    if to_ms is not None:
        counts &= table.at_ms < to_ms
    return Cases(table.x, table.at_ms, table.id, table.fraud, table.known, due_ms, table.owner, counts)


def shuffled(table: Table, seed: int) -> Table:
    """The same table with labels that mean nothing: a model that still finds frauds in it knows of the future."""
    fraud = table.fraud.copy()
    known = np.flatnonzero(table.known)
    fraud[known] = np.random.default_rng(seed).permutation(fraud[known])
    return Table(**{name: getattr(table, name) for name in Table.__dataclass_fields__} | {"fraud": fraud})


def _csv(path: Path) -> Any:
    from pyarrow import csv  # type: ignore[import-untyped]  # ships no types

    return csv.read_csv(str(path))


def _is_set(table: Any) -> bool:
    return FOOTER in (table.schema.metadata or {})


def _column(table: Any, what: str, asked: str | None) -> str | None:
    name = asked or _GUESSED[what]
    if name in table.column_names:
        return name
    if what == "owner" and asked is None:
        return None
    raise TableError(
        f"no column {name!r} for the {what}: name one with --{what}; there are {', '.join(table.column_names[:20])}"
    )


def _features(table: Any, asked: Asked, taken: Sequence[str]) -> list[str]:
    if unknown := [name for name in (*asked.features, *asked.without) if name not in table.column_names]:
        raise TableError(f"no column {unknown[0]!r}: there are {', '.join(table.column_names[:20])}")
    told = {*taken, *asked.without, *((field.name for field in TOLD) if _is_set(table) else ())}
    names = list(asked.features) or [
        field.name
        for field in table.schema
        if field.name not in told
        and (pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_boolean(field.type))
    ]
    if not names:
        raise TableError("no column of numbers is left to learn from: name some with --feature")
    return names


def _numbers(table: Any, name: str) -> Floats:
    column = table.column(name)
    if column.null_count:
        raise TableError(f"column {name!r} lacks {column.null_count:,} values: fill them, or leave it out by --without")
    try:
        values: Floats = column.cast(pa.float64()).to_numpy()
    except pa.ArrowException as error:
        raise TableError(f"column {name!r} of {column.type} is no number: leave it out by --without") from error
    if not np.isfinite(values).all():
        raise TableError(f"column {name!r} has values that are not finite: fill them, or leave it out by --without")
    return values


def _labels(table: Any, name: str) -> Ints:
    """1 fraud, 0 good, -1 not known."""
    column = table.column(name)
    try:
        labels: Ints = column.cast(pa.int64()).fill_null(-1).to_numpy()
    except pa.ArrowException as error:
        raise TableError(f"label column {name!r} of {column.type}: want 0, 1 and null") from error
    if len(labels) and not set(np.unique(labels).tolist()) <= {-1, 0, 1}:
        raise TableError(f"label column {name!r} has {labels.min()} to {labels.max()}: want 0, 1 and null")
    return labels


def _moments(table: Any, name: str, missing: int | None = None) -> Ints:
    """Epoch ms of timestamps, of RFC 3339 texts, or of numbers that are epoch ms."""
    column = table.column(name)
    if column.null_count and missing is None:
        raise TableError(f"time column {name!r} lacks {column.null_count:,} values: every case has its time")
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms")).cast(pa.int64())
    elif not pa.types.is_integer(column.type):
        texts = [str(one) for one in column.to_pylist()]
        at_ms, bad = epoch_ms(texts)
        if np.asarray(bad).any():
            wrong = texts[int(np.flatnonzero(bad)[0])]
            raise TableError(
                f"time column {name!r} has {wrong!r}: want timestamps, RFC 3339 texts or epoch milliseconds"
            )
        return np.asarray(at_ms, dtype=np.int64)
    moments: Ints = column.cast(pa.int64()).fill_null(0 if missing is None else missing).to_numpy()
    return moments


def _ranks(table: Any, name: str) -> Ints:
    """(n,) small integers in the order of the values."""
    values = table.column(name)
    if values.null_count:
        values = values.cast(pa.string()).fill_null("")
    return np.unique(values.to_numpy(zero_copy_only=False), return_inverse=True)[1].astype(np.int64)
