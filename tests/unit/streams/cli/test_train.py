"""`headrace train`: a set in, a judged model out; what is not to be trained on is refused with code 3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import artefact
from models.registry import Registry
from storage.places import place_of
from streams.cli import run
from tests.support.labelled import HASH, NAMES, changed, shop, written
from training.batch.table import Table

SHOP = shop(days=24)


@pytest.fixture(autouse=True)
def shop_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """The synthetic shop's columns, in place of the shop's own 258."""
    from streams import space

    class Known:
        class vector:  # noqa: N801 - as Definitions has it
            names, hash, words = NAMES, HASH, dict[str, str]()

    monkeypatch.setattr(space, "definitions_of", lambda _: Known)


def train(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code, told = run(["train", *words, "--json"]), capsys.readouterr()
    assert told.out, told.err
    return code, json.loads(told.out)


def set_of(table: Table, folder: Path, **more: Any) -> str:
    return str(written(table, folder / "set.parquet", **more))


def test_a_model_and_its_card_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = train(capsys, "logistic", "--data", set_of(SHOP, tmp_path), "--out", str(tmp_path / "out"))
    assert (code, said["model"], said["beats_gate"]) == (0, "logistic/1", True)
    loaded = artefact.load(Path(said["folder"]), NAMES, HASH)
    assert loaded.manifest.kind == "blend"
    assert loaded.manifest.metrics["auc"]["value"] > 0.9
    assert loaded.manifest.data["spans"] == said["spans"]
    cards = {path.name for path in (Path(said["folder"]) / "card").iterdir()}
    plots = {"roc.svg", "precision_recall.svg", "calibration.svg", "cost.svg", "importance.svg"}
    assert cards == {"card.md", "reference.json", *plots}


def test_versions_count_on_and_the_same_seed_is_the_same_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("logistic", "--data", set_of(SHOP, tmp_path), "--out", str(tmp_path / "out"))
    first, second = (train(capsys, *words)[1] for _ in range(2))
    assert (first["model"], second["model"]) == ("logistic/1", "logistic/2")
    one, other = (artefact.read(Path(said["folder"])) for said in (first, second))
    assert {file: one[file] for file in one if file != "manifest.json"} == {
        file: other[file] for file in other if file != "manifest.json"
    }


def test_the_registry_gets_it_and_what_is_trained_next_is_held_against_the_champion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.deployments import promoted

    monkeypatch.setenv("HEADRACE_REGISTRY__URL", str(tmp_path / "registry"))
    words = ("logistic", "--data", set_of(SHOP, tmp_path), "--name", "shop")
    _, said = train(capsys, *words)
    assert (said["model"], said["folder"]) == ("shop/1", None)
    registry = Registry(place_of(str(tmp_path / "registry")))
    assert "card.md" in registry.card("shop", "1")
    registry.deploy(promoted(registry.ref("shop", "1")), why="test", by="test")
    _, said = train(capsys, *words)
    assert registry.manifest("shop", "2").parent == "shop/1"
    assert said["metrics"]["gain"]["champion"]["ap"]["value"] == 0.0


def test_a_set_without_labels_is_refused_with_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = set_of(SHOP, tmp_path, label=[None] * len(SHOP))
    code, said = train(capsys, "logistic", "--data", data, "--out", str(tmp_path / "out"))
    assert (code, said["refused"]) == (3, True)
    assert "none of 2,880 orders has a label that has matured" in said["findings"][0]["text"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("table", "words", "why"),
    [
        (changed(SHOP, fraud=np.zeros(len(SHOP), np.bool_)), (), "0 of 2,880 orders are frauds"),
        (changed(SHOP, feature_hash="e" * 16), (), "holds features eeeeeeeeeeeeeeee"),
        (SHOP, ("--gap-days", "120"), "a gap of 120 days for labels leave 0.0 days"),
        (shop(days=24, rate=0.003), (), "want 30 of each"),
    ],
)
def test_what_is_refused_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], table: Table, words: tuple[str, ...], why: str
) -> None:
    assert run(["train", "logistic", "--data", set_of(table, tmp_path), *words]) == 3
    assert why in capsys.readouterr().err


def test_a_dry_run_writes_nothing_and_says_how_days_are_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_REGISTRY__URL", str(tmp_path / "registry"))
    data = set_of(SHOP, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code, said = train(capsys, "logistic", "--data", data, "--dry-run")
    assert (code, said["refused"]) == (0, False)
    assert (
        sum(said["orders"][span]["orders"] for span in ("fit", "weigh", "calibrate"))
        == said["orders"]["train"]["orders"]
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_of_what_would_be_refused_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = SHOP.x.copy()
    x[len(x) // 2 :, :3] *= 5.0
    code, said = train(capsys, "logistic", "--data", set_of(changed(SHOP, x=x), tmp_path), "--dry-run")
    assert (code, said["refused"]) == (3, True)
    assert {one["check"] for one in said["findings"] if one["level"] == "refuse"} == {"drift"}


def test_what_cannot_be_fitted_here_is_named_with_its_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.batch import members

    monkeypatch.setattr(members, "KINDS", {**members.KINDS, "boosted": members.Kind(("no_such_library",))})
    assert run(["train", "boosted", "--data", set_of(SHOP, tmp_path)]) == 2
    assert (
        "boosted needs no_such_library, which is not installed: pip install 'headrace[train]'"
        in capsys.readouterr().err
    )


def test_a_kind_that_is_none_is_told_which_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "oracle", "--data", set_of(SHOP, tmp_path)]) == 2
    assert "no kind of model is called 'oracle': want logistic, boosted" in capsys.readouterr().err


def test_progress_in_a_pipe_is_a_line_a_stage_without_colour(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["train", "logistic", "--data", set_of(SHOP, tmp_path), "--out", str(tmp_path / "out"), "--json"])
    told = capsys.readouterr().err
    assert "fit logistic: 1" in told
    assert "\x1b" not in told


def test_under_torchrun_the_first_process_keeps_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    assert run(["train", "logistic", "--data", set_of(SHOP, tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert not (tmp_path / "out").exists()
