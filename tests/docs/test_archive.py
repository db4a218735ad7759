"""docs/archive.md: what it tells to paste runs, on an archive with the topics that it asks for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from archive.coverage import select
from archive.reader import Between
from schemas.decisions import encode
from storage.places import Folder
from tests.docs.tables import DOCS
from tests.unit.archive.build import put, row, span
from tests.unit.archive.test_columns import DECIDED

PAGE = (DOCS / "archive.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PLACE = "/var/lib/headrace/archive"


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.check()
    put(folder, span(0, 9))
    put(folder, span(0, 1, topic="decisions"), [row(n, value=encode(DECIDED)) for n in range(2)])
    return folder


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_runs_as_it_stands(snippet: str, place: Folder) -> None:
    code = snippet.replace(PLACE, str(place.root))
    assert code != snippet
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_query_of_the_console_runs(place: Folder) -> None:
    (query,) = re.findall(r'duckdb -c "(.*)"$', PAGE, re.MULTILINE)
    asked = query.replace("$(headrace archive sql decisions --from 2026-11-01)", select(place, "decisions"))
    assert duckdb.connect().execute(asked).fetchall() == [("review", 2)]


def test_a_query_for_some_days_gives_those_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.check()
    day = 86_400_000
    put(folder, span(0, 3, date="1970-01-03"), [row(n, n * day) for n in range(3)])
    put(folder, span(4, 6, date="1970-01-06"), [row(4, 1 * day), row(5, 5 * day)])
    asked = select(folder, "orders", Between(day, 2 * day))
    assert duckdb.connect().execute(f"SELECT kafka_offset FROM ({asked}) ORDER BY 1").fetchall() == [(1,), (4,)]


def test_a_plain_glob_works(place: Folder) -> None:
    pattern = f"{place.root}/orders/**/*.parquet"
    asked = f"SELECT DISTINCT ON (kafka_partition, kafka_offset) * FROM read_parquet('{pattern}')"
    assert len(duckdb.connect().execute(asked).fetchall()) == 10
