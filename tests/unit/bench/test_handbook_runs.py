"""Runs that are done are not done again, and the figure holds only where each of them does."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from bench import figure
from bench.handbook import runs
from bench.handbook.run import TARGET

RUN: dict[str, Any] = {
    "value": {name: {"value": least + 0.001} for name, least in TARGET.items()},
    "members": {"forest": {}},
    "audit": {"holds": True},
    "model": {},
    "days": {},
    "broker": "Apache Kafka",
    "seconds": {},
    "revision": "abc1234",
    "data_hash": "d",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs are there; the third is told to be made, and is."""
    monkeypatch.setattr(figure, "FIGURES", tmp_path / "figures")

    def run(_data: Path, out: Path) -> None:
        assert out.name == "3"
        put(out, RUN)

    monkeypatch.setattr(runs, "run", run)
    for number in ("1", "2"):
        put(tmp_path / number, RUN)
    return tmp_path


def put(out: Path, found: dict[str, Any]) -> None:
    out.mkdir(exist_ok=True)
    (out / "figures.json").write_text(json.dumps(found))


def written(folder: Path) -> Any:
    return json.loads(runs.runs(folder, folder).read_text())


def test_what_is_done_is_not_done_again(folder: Path) -> None:
    found = written(folder)
    assert len(found["value"]["runs"]) == runs.TIMES
    assert found["holds"] is True


@pytest.mark.parametrize(
    ("where", "value"),
    [(("value", "ap", "value"), 0.729), (("value", "ap", "value"), 0.737), (("audit",), {"lost": 1})],
    ids=["below what is wanted", "too far from the others", "an audit that does not hold"],
)
def test_it_does_not_hold_where_one_run_is_off(folder: Path, where: tuple[str, ...], value: Any) -> None:
    other = copy.deepcopy(RUN)
    place = other
    for name in where[:-1]:
        place = place[name]
    place[where[-1]] = value
    put(folder / "2", other)
    assert written(folder)["holds"] is False
