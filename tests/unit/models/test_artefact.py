"""Artefacts: what is saved is what is loaded, and what is not right is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.artefact import load, save
from models.documents import ArtefactError
from models.logistic import Input, Logistic

NAMES = ("order_amount", "user_count_1h")
ABOUT: dict[str, Any] = {
    "feature_hash": "f" * 16,
    "metrics": {"auc": 0.9},
    "data": {"name": "made up", "hash": "0"},
    "seed": 3,
    "revision": "abc",
}


def model() -> Logistic:
    inputs = [Input("user_count_1h", 1.25, 0, 99, 0.7), Input("order_amount", 5400, 0, 1e6, -0.123456)]
    return Logistic(inputs, -4.5, NAMES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tmp_path, model(), name="shop", version="1", **ABOUT)


def edited(folder: Path, file: str, **change: object) -> Path:
    """The artefact with keys of one of its files changed; the manifest's hash follows a change of the model."""
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    if file == "model.json":
        import hashlib

        edited(folder, "manifest.json", files={file: hashlib.sha256(path.read_bytes()).hexdigest()})
    return folder


def test_what_is_saved_scores_the_same_when_loaded(folder: Path) -> None:
    x = np.random.default_rng(1).lognormal(4, 3, (100, 2))
    loaded = load(folder, NAMES, "f" * 16)
    assert loaded.model.score(x).tobytes() == model().score(x).tobytes()
    assert loaded.label == "shop/1"
    assert loaded.manifest.metrics == {"auc": 0.9}


def test_a_model_finds_its_columns_by_name(folder: Path) -> None:
    x = np.random.default_rng(1).lognormal(4, 3, (100, 2))
    moved = load(folder, ("new", *reversed(NAMES)), "f" * 16).model
    assert moved.score(np.column_stack([x[:, 0], x[:, ::-1]])).tobytes() == model().score(x).tobytes()


def test_the_same_model_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = save(tmp_path / "again", model(), name="shop", version="1", **ABOUT)
    for file in ("model.json", "manifest.json"):
        assert (again / file).read_bytes() == (folder / file).read_bytes()


def test_a_model_for_other_features_is_refused_naming_both(folder: Path) -> None:
    with pytest.raises(ArtefactError, match="was fitted for features ffffffffffffffff, this worker computes 0000"):
        load(folder, NAMES, "0000")


def test_a_model_that_was_changed_is_refused(folder: Path) -> None:
    path = folder / "model.json"
    path.write_bytes(path.read_bytes().replace(b"-4.5", b"-4.6"))
    with pytest.raises(ArtefactError, match=r"its SHA-256 is [0-9a-f]{64}, the manifest says [0-9a-f]{64}"):
        load(folder, NAMES, "f" * 16)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"none.manifest\.json: cannot be read"):
        load(tmp_path / "none", NAMES, "f" * 16)


ONE = {"name": "order_amount", "usual": 1, "low": 0, "high": 2, "weight": 1}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "logistic 9"}, "format 'logistic 9': this release reads 'logistic 1'"),
        ({"squash": "cube"}, "squash = 'cube': want 'log2' or 'none'"),
        ({"bias": None}, "bias = None: want a finite number"),
        ({"bias": float("nan")}, "bias = nan: want a finite number"),
        ({"inputs": None}, "inputs is missing"),
        ({"inputs": [3]}, "input 3: want exactly name, usual, low, high, weight"),
        ({"inputs": [ONE | {"name": "gone"}]}, "input 'gone' is no column of the vector"),
        ({"inputs": [ONE | {"weight": "2"}]}, "input 'order_amount': weight = '2': want a finite number"),
        ({"inputs": [ONE | {"low": 3}]}, "low = 3.0 is above high = 2.0"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused_by_name(folder: Path, change: dict[str, object], says: str) -> None:
    with pytest.raises(ArtefactError) as error:
        load(edited(folder, "model.json", **change), NAMES, "f" * 16)
    assert says in str(error.value)
    assert "model.json" in str(error.value)


def test_a_manifest_that_is_cut_or_says_more_is_refused(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"name": ')
    with pytest.raises(ArtefactError, match=r"manifest\.json: not JSON"):
        load(folder, NAMES, "f" * 16)
    (folder / "manifest.json").write_text('{"name": "x"}')
    with pytest.raises(ArtefactError, match="want exactly the keys data, feature_hash"):
        load(folder, NAMES, "f" * 16)


@pytest.mark.parametrize(("name", "version"), [("../x", "1"), ("shop", ""), ("Shop", "1"), ("shop", "a/b")])
def test_a_name_cannot_leave_its_folder(tmp_path: Path, name: str, version: str) -> None:
    with pytest.raises(ArtefactError, match="want small letters"):
        save(tmp_path, model(), name=name, version=version, **ABOUT)
