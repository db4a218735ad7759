"""`headrace evaluate --prequential`: any labelled table through any online model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.csv  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from streams.cli import cli
from tests.unit.training.online.cases import MINUTE_MS, NAMES, vectors
from training.online.learner import kinds

START_MS = 1_530_000_000_000
QUICK = ("--set", "trees=3", "--set", "rate=0.5")


def table(n: int = 900, **more: Any) -> pa.Table:
    x, fraud = vectors(n)
    columns = {
        "event_time": pa.array(START_MS + np.arange(n) * MINUTE_MS, pa.timestamp("ms", tz="UTC")),
        "event_id": [f"e{row:05}" for row in range(n)],
        "user_id": [f"u{row % 40}" for row in range(n)],
        **dict(zip(NAMES, x.T, strict=True)),
        "label": fraud.astype(np.int8),
    }
    return pa.table(columns | more)


def written(folder: Path, of: pa.Table) -> Path:
    path = folder / "cases.parquet"
    parquet.write_table(of, path)
    return path


def evaluate(path: Path, *words: str, model: str = "online_logistic", delay: str = "2h") -> Result:
    return CliRunner().invoke(
        cli, ["evaluate", "--prequential", str(path), "--model", model, "--delay", delay, *words], standalone_mode=False
    )


def said(path: Path, *words: str, **more: str) -> dict[str, Any]:
    result = evaluate(path, "--json", *words, **more)
    assert result.exception is None, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("model", kinds())
def test_any_online_model_is_judged(tmp_path: Path, model: str) -> None:
    more = () if model == "online_logistic" else ("--set", "trees=3")
    found = said(written(tmp_path, table()), *more, model=model)
    assert found["model"] == model
    assert found["judged"] == 900 - 120
    assert found["learned"] == 900 - 120 - 10  # the last ten cases have one snapshot, of the moment before them
    assert set(found["metrics"]) == {"auc", "ap", "cp100"}


def test_a_csv_and_other_columns_mean_the_same(tmp_path: Path) -> None:
    of = table()
    path = tmp_path / "cases.csv"
    others = {"event_time": "when", "event_id": "tx", "user_id": "card", "label": "bad"}
    pyarrow.csv.write_csv(of.rename_columns([others.get(name, name) for name in of.column_names]), path)
    words = ("--time", "when", "--id", "tx", "--owner", "card", "--label", "bad")
    csv, parquet_ = said(path, *words), said(written(tmp_path, of))
    assert [csv[key] for key in ("metrics", "state", "learned")] == [
        parquet_[key] for key in ("metrics", "state", "learned")
    ]


def test_the_same_question_has_the_same_answer_and_the_delay_matters(tmp_path: Path) -> None:
    path = written(tmp_path, table())
    first, again, soon = said(path), said(path), said(path, "--from", "2018-06-26T10:00:00Z", delay="0")
    assert {**first, "seconds": 0} == {**again, "seconds": 0}
    assert soon["learned"] > first["learned"]
    assert said(path, "--seed", "8")["state"] != first["state"]


def test_a_test_period_ends_what_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, table())
    found = said(path, "--from", "2018-06-26T12:00:00Z", "--to", "2018-06-26T16:00:00Z")
    assert found["judged"] == 240
    assert found["to"] < "2018-06-26T16"
    cut = said(
        written(tmp_path, table().slice(0, 720)), "--from", "2018-06-26T12:00:00Z", "--to", "2018-06-26T16:00:00Z"
    )
    assert cut["metrics"] == found["metrics"]


def test_columns_are_chosen(tmp_path: Path) -> None:
    path = written(tmp_path, table())
    assert (
        said(path, *(word for name in NAMES if name != "amount" for word in ("--without", name)))["state"]
        == (said(path, "--feature", "amount")["state"])
    )


def test_labels_that_are_null_are_not_learned(tmp_path: Path) -> None:
    label = [None if row % 2 else bad for row, bad in enumerate(vectors(900)[1].astype(int).tolist())]
    found = said(written(tmp_path, table(label=pa.array(label, pa.int8()))))
    assert found["judged"] == (900 - 120) / 2


def test_shuffled_labels_are_told_as_such(tmp_path: Path) -> None:
    path = written(tmp_path, table(3000))
    found = said(path, "--shuffle")
    assert found["shuffled"]
    assert found["metrics"]["auc"]["value"] == pytest.approx(0.5, abs=0.06)
    assert "SHUFFLED labels" in evaluate(path, "--shuffle").stdout


def test_people_get_a_table(tmp_path: Path) -> None:
    result = evaluate(written(tmp_path, table()), *QUICK, model="adaptive_forest")
    assert "adaptive_forest: 780 cases from 2018-06-26T10:00:00.000Z to " in result.stdout
    assert "labels 0.0833333 days late" in result.stdout
    assert "95 % interval" in result.stdout


@pytest.mark.parametrize(
    ("more", "words", "why"),
    [
        ({}, ("--label", "bad"), "no column 'bad' for the label: name one with --label"),
        ({}, ("--without", "card"), "no column 'card'"),
        ({"label": [7] * 900}, (), "label column 'label' has 7 to 7: want 0, 1 and null"),
        ({"label": ["x"] * 900}, (), "label column 'label' of string"),
        ({"label": [0] * 900}, (), "0 frauds among 780 judged cases"),
        ({"amount": [None] * 900}, (), "column 'amount' lacks 900 values|no number"),
        ({"amount": [float("nan")] * 900}, (), "column 'amount' has values that are not finite"),
        ({"event_time": ["soon"] * 900}, (), "time column 'event_time' has 'soon'"),
        ({}, ("--from", "2030-01-01"), "0 frauds among 0 judged cases: want some of both; name another test period"),
        ({}, ("--set", "speed=3"), "--set speed=3: want NAME=VALUE, of"),
        ({}, ("--set", "rate=fast"), "--set rate=fast: want a float"),
    ],
)
def test_what_cannot_be_judged_is_told_with_the_remedy(
    tmp_path: Path, more: dict[str, Any], words: tuple[str, ...], why: str
) -> None:
    result = evaluate(written(tmp_path, table(**more)), "--feature", "amount", *words)
    assert result.exception is not None
    assert any(part in str(result.exception) for part in why.split("|")), result.exception


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    result = evaluate(written(tmp_path, table()), model="deep")
    assert "online model 'deep': there are online_logistic, adaptive_forest, half_space" in str(result.exception)
