"""`headrace evaluate --data`: how a model that is there does on a set, also as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from streams.cli import run
from tests.support.labelled import HASH, NAMES, shop, written

SHOP = shop(days=24)
LATER = shop(days=20, first_day=40, seed=2)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """The synthetic shop's columns, and a model that was trained on its first weeks."""
    from streams import space

    class Known:
        class vector:  # noqa: N801 - as Definitions has it
            names, hash, words = NAMES, HASH, dict[str, str]()

    monkeypatch.setattr(space, "definitions_of", lambda _: Known)
    written(SHOP, tmp_path / "set.parquet")
    written(LATER, tmp_path / "later.parquet")
    assert run(["train", "logistic", "--data", str(tmp_path / "set.parquet"), "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    return tmp_path


def evaluate(site: Path, capsys: pytest.CaptureFixture[str], *words: str, on: str = "later") -> dict[str, Any]:
    model = str(site / "out" / "logistic" / "1")
    assert run(["evaluate", "--data", str(site / f"{on}.parquet"), "--model", model, "--json", *words]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_a_model_is_judged_on_days_of_its_future(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = evaluate(site, capsys)
    assert (said["model"], said["learned_from"], said["orders"]["orders"]) == ("logistic/1", 0, len(LATER))
    assert said["metrics"]["auc"]["value"] > 0.9


def test_days_that_it_learned_from_are_told_of(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(site, capsys, on="set")["learned_from"] > 1_000


def test_a_report_is_one_page_that_needs_nothing_else(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = evaluate(site, capsys, "--report", str(site / "page.html"))
    text = Path(said["report"]).read_text()
    assert text.count("<svg") == 5
    assert "http" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ).replace("https://matplotlib.org", "")
    for piece in text.split("<figure>")[1:]:
        ElementTree.fromstring(piece[: piece.index("</svg>") + 6])
    ids = [part.split('"')[0] for part in text.split('id="')[1:]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "want one of --data SET and --prequential TABLE"),
        (("--data", "{site}/set.parquet"), "no champion is in force that can be used"),
        (("--data", "{site}/set.parquet", "--model", "shop/9"), "no such folder, and no registry is set"),
        (("--prequential", "{site}/set.parquet"), "--prequential wants --model NAME and --delay SPAN"),
    ],
)
def test_what_cannot_be_judged_says_why(
    site: Path, words: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", *(word.format(site=site) for word in words)]) == 2
    assert why in capsys.readouterr().err


def test_a_set_without_labels_is_refused(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(SHOP, site / "none.parquet", label=[None] * len(SHOP))
    assert run(["evaluate", "--data", str(site / "none.parquet"), "--model", "shop/1"]) == 3
    assert "has a label that has matured" in capsys.readouterr().err
