"""The set as Parquet files: first who and when, then what became of it, then a column of float64 for each feature.

The footer (`headrace`, JSON) says what the set is: window, moment, features by hash, what went in by hash, the code's
revision, and counts. Nothing in a file depends on when it was made or in which files the archive lay, so the same set
is the same bytes. The price: row groups are cut by rows, 16,384 each, whatever they weigh.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from archive.arrow import pa, parquet
from archive.errors import ArchiveError
from features.columns import Ints
from schemas.timestamps import rfc3339
from training.sets.logged import matrix_of

GROUP_ROWS: Final = 16_384
ZSTD_LEVEL: Final = 3
SUFFIX: Final = ".parquet"
UTC_MS: Final = pa.timestamp("ms", tz="UTC")
IDS: Final = ("user_id", "visitor_id", "session_id", "card_id", "device_id", "ip", "merchant_id")
TOLD: Final = (
    pa.field("decision_id", pa.string(), nullable=False),
    pa.field("order_id", pa.string()),
    pa.field("event_id", pa.string(), nullable=False),
    pa.field("event_time", UTC_MS, nullable=False),
    *(pa.field(name, pa.string()) for name in IDS),
    pa.field("score", pa.float64()),
    pa.field("action", pa.string()),
    pa.field("model", pa.string()),
    pa.field("model_version", pa.string()),
    pa.field("feature_hash", pa.string()),  # that the decision was made with
    pa.field("recovered", pa.bool_()),
    pa.field("replayed", pa.bool_(), nullable=False),
    pa.field("exact", pa.bool_(), nullable=False),
    pa.field("label", pa.int8()),
    pa.field("label_time", UTC_MS),
    pa.field("label_type", pa.string()),
    pa.field("matured", pa.bool_(), nullable=False),
)


def check_names(names: Sequence[str]) -> None:
    """Raises ArchiveError where a feature has the name of one of our columns."""
    if taken := sorted({field.name for field in TOLD} & set(names)):
        raise ArchiveError(f"feature {taken[0]!r} has the name of a column of every training set: rename it")


def schema_of(names: Sequence[str], about: Mapping[str, Any]) -> Any:
    """The schema of a set's files."""
    features = [pa.field(name, pa.float64(), nullable=False) for name in names]
    return pa.schema([*TOLD, *features], metadata={"headrace": orjson.dumps(about).decode()})


def about(path: str | Path) -> dict[str, Any]:
    """What the footer of a set's file says."""
    said: dict[str, Any] = orjson.loads(parquet.read_schema(str(path)).metadata[b"headrace"])
    return said


def write(out: Path, rows: Iterable[Any], names: Sequence[str], facts: Mapping[str, Any]) -> list[Path]:
    """One file, or below a folder one for each day of event time; each is there whole or not at all."""
    schema = schema_of(names, facts)
    if out.suffix == SUFFIX:
        return [_write(out, rows, schema, names)]
    paths = [
        _write(out / f"date={day}" / f"part{SUFFIX}", (piece for _, piece in pieces), schema, names)
        for day, pieces in groupby(_by_day(rows), key=lambda one: one[0])
    ]
    return paths or [_write(out / f"none{SUFFIX}", (), schema, names)]


def check_out(out: Path) -> None:
    """Raises ArchiveError where a folder already holds something."""
    if out.suffix != SUFFIX and out.is_dir() and any(out.iterdir()):
        raise ArchiveError(f"{out} is not empty: a set of fewer days would leave old ones there; name another folder")


def _by_day(rows: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for table in rows:
        days: Ints = table.column("event_time").cast(pa.int64()).to_numpy() // 86_400_000
        edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
        for begin, end in pairwise(edges):
            yield rfc3339(int(days[begin]) * 86_400_000)[:10], table.slice(begin, end - begin)


def _write(path: Path, rows: Iterable[Any], schema: Any, names: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    texts = [field.name for field in TOLD if field.type == pa.string()]
    try:
        with parquet.ParquetWriter(
            temporary,
            schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            use_dictionary=[*texts, *names],
            write_page_index=True,
        ) as into:
            for table in _regrouped(rows):
                into.write_table(_wide(table, schema, names), row_group_size=GROUP_ROWS)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def _regrouped(rows: Iterable[Any]) -> Iterator[Any]:
    """The same rows, GROUP_ROWS at a time."""
    held = list[Any]()
    for table in rows:
        held.append(table)
        while sum(map(len, held)) >= GROUP_ROWS:
            every = pa.concat_tables(held)
            yield every.slice(0, GROUP_ROWS)
            held = [every.slice(GROUP_ROWS)]
    if sum(map(len, held)):
        yield pa.concat_tables(held)


def _wide(table: Any, schema: Any, names: Sequence[str]) -> Any:
    """`vector` becomes a column for each feature."""
    columns = np.ascontiguousarray(matrix_of(table.column("vector"), len(names)).T)
    told = [table.column(field.name) for field in TOLD]
    return pa.Table.from_arrays([*told, *map(pa.array, columns)], schema=schema)
