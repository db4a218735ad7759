"""Rows come out by time, however many runs they went through and however they came in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.arrow import pa
from training.sets import runs
from training.sets.cursor import Cursor
from training.sets.runs import Runs


def rows(times: list[int], ids: list[int]) -> Any:
    return pa.table(
        {
            "event_time": pa.array(times, pa.timestamp("ms", tz="UTC")),
            "decision_id": [f"{one:016x}{0:016x}" for one in ids],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(np.repeat(np.array(ids, float), 3)), 3),
        }
    )


@given(times=st.lists(st.integers(0, 30), max_size=80), cut=st.integers(1, 9), at_once=st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_all_rows_come_by_time_and_id(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], cut: int, at_once: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "RUN_ROWS", 13)
        patch.setattr(runs, "PIECE_ROWS", 4)
        held, ids = Runs(tmp_path_factory.mktemp("runs")), [n * 7919 % 1009 for n in range(len(times))]
        for start in range(0, len(times), cut):
            held.add(rows(times[start : start + cut], ids[start : start + cut]))
        found = list(held.merged(at_once))
    assert all(0 < len(one) <= at_once + 4 * (len(times) // 13 + 1) for one in found)
    said = [row for one in found for row in one.to_pylist()]
    told = [(round(row["event_time"].timestamp() * 1000), int(row["decision_id"][:16], 16)) for row in said]
    assert told == sorted(zip(times, ids, strict=True))
    assert [row["vector"] for row in said] == [[float(id_)] * 3 for _, id_ in told]


@given(
    stream=st.lists(st.lists(st.integers(0, 40), max_size=6), max_size=8),
    asked=st.lists(st.lists(st.integers(0, 40), max_size=6), max_size=6),
)
@settings(max_examples=200, deadline=None)
def test_a_cursor_finds_what_a_dictionary_would(stream: list[list[int]], asked: list[list[int]]) -> None:
    """Copies come again behind the first: of each offset the first row counts."""
    first: dict[int, int] = {}
    seen, tables, number = -1, [], 0
    for some in stream:
        numbers = list(range(number, number + len(some)))
        number += len(some)
        tables.append(pa.table({"offset": pa.array(some, pa.int64()), "number": pa.array(numbers, pa.int64())}))
        for offset, one in zip(some, numbers, strict=True):
            if offset > seen:
                first[offset], seen = one, offset
    cursor, wanted = Cursor(iter(tables)), sorted({offset for some in asked for offset in some})
    for start in range(0, len(wanted), 3):
        part = np.array(wanted[start : start + 3], np.int64)
        found, places = cursor.take(part)
        told = dict(zip(part[places].tolist(), found.column("number").to_pylist() if found else [], strict=True))
        assert told == {offset: first[offset] for offset in part.tolist() if offset in first}


def test_no_rows_are_no_rows(tmp_path: Path) -> None:
    assert list(Runs(tmp_path).merged(10)) == []
