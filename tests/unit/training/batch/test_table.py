"""A table holds the labelled orders of a set, by time, and nothing else is taken for a set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archive.arrow import pa, parquet
from tests.support.labelled import DAY_MS, HASH, NAMES, START_MS, changed, shop, written
from training.batch.table import BadSetError, Table, read

SHOP = shop(days=6, a_day=50)


def rows(table: Table, keep: Any) -> Table:
    types = tuple(np.array(table.types, np.object_)[keep])
    columns = {name: getattr(table, name)[keep] for name in ("x", "fraud", "at_ms", "owner")}
    return changed(table, types=types, **columns)


def test_a_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = read(written(SHOP, tmp_path / "set.parquet"), NAMES, HASH)
    assert table.x.tobytes() == SHOP.x.tobytes()
    assert (table.fraud == SHOP.fraud).all()
    assert (table.at_ms == SHOP.at_ms).all()
    assert table.types == SHOP.types
    assert len(np.unique(table.owner)) == len(np.unique(SHOP.owner))
    assert (table.feature_hash, table.mature_ms, table.left_out) == (HASH, 5 * DAY_MS, 0)


def test_orders_that_have_not_matured_are_left_out_also_where_they_are_known_frauds(tmp_path: Path) -> None:
    """Of young orders only frauds are known: who learns from them learns that what is new is a fraud."""
    matured = SHOP.at_ms < START_MS + 4 * DAY_MS
    label = [1 if bad else 0 if old else None for bad, old in zip(SHOP.fraud, matured, strict=True)]
    table = read(written(SHOP, tmp_path / "set.parquet", matured=matured, label=label), NAMES, HASH)
    assert len(table) == matured.sum()
    assert table.left_out == (~matured).sum()


def test_a_window_is_cut_to_the_millisecond(tmp_path: Path) -> None:
    path, at_ms = written(SHOP, tmp_path / "set.parquet"), SHOP.at_ms
    table = read(path, NAMES, HASH, from_ms=int(at_ms[10]), to_ms=int(at_ms[20]))
    assert table.at_ms.tolist() == at_ms[10:20].tolist()


def test_a_folder_is_one_table_by_time_whatever_its_files_are_called(tmp_path: Path) -> None:
    early = SHOP.at_ms < START_MS + 3 * DAY_MS
    written(rows(SHOP, ~early), tmp_path / "set" / "a.parquet")
    written(rows(SHOP, early), tmp_path / "set" / "b.parquet")
    table = read(tmp_path / "set", NAMES, HASH)
    assert table.x.tobytes() == SHOP.x.tobytes()
    assert (table.at_ms == SHOP.at_ms).all()


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    path = written(SHOP, tmp_path / "set.parquet")
    assert read(path, ("hurry", "ratio"), HASH).x.tobytes() == np.ascontiguousarray(SHOP.x[:, [2, 1]]).tobytes()


def test_progress_ends_at_the_number_of_rows(tmp_path: Path) -> None:
    told = list[tuple[int, int]]()
    read(written(SHOP, tmp_path / "s.parquet"), NAMES, HASH, tell=lambda done, total: told.append((done, total)))
    assert told[-1] == (300, 300)


def refused(path: Path, why: str, names: Any = NAMES) -> None:
    with pytest.raises(BadSetError, match=why):
        read(path, names, HASH)


def test_a_set_of_other_features_is_refused(tmp_path: Path) -> None:
    path = written(changed(SHOP, feature_hash="f" * 16), tmp_path / "set.parquet")
    refused(path, f"holds features {'f' * 16}, here they are {HASH}: build it again")


def test_a_column_that_is_gone_is_named(tmp_path: Path) -> None:
    refused(written(SHOP, tmp_path / "set.parquet"), "column 'speed' is missing", (*NAMES, "speed"))


def test_the_same_days_twice_are_refused(tmp_path: Path) -> None:
    written(SHOP, tmp_path / "a.parquet")
    written(changed(SHOP, hash="e" * 16), tmp_path / "b.parquet")
    refused(tmp_path, "holds two sets of the same days")


def test_what_is_no_set_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "no training set there: make one with `headrace features build")
    refused(tmp_path / "gone.parquet", "no training set there")
    parquet.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    refused(tmp_path / "other.parquet", "no training set of `headrace features build`")
    (tmp_path / "text.parquet").write_text("not parquet")
    refused(tmp_path / "text.parquet", "no training set of")
