"""Forests from arrays: what their files may hold, whatever grew them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import tensors
from models.documents import ArtefactError
from models.forest import Forest
from models.isolation import Isolation
from models.tree_files import DOCUMENT_FILE, TREES_FILE
from tests.support.ensembles import odd_rows
from tests.support.grown import READ, isolation_forest, random_forest

MADE: dict[str, Callable[[], Any]] = {
    "forest": lambda: random_forest(READ),
    "isolation": lambda: isolation_forest(READ),
}


@pytest.fixture(params=sorted(MADE))
def forest(request: pytest.FixtureRequest) -> Any:
    return MADE[request.param]()


def with_arrays(forest: Any, **arrays: Any) -> dict[str, bytes]:
    """Its files, some arrays replaced; None leaves one out."""
    files = forest.files()
    found = {**tensors.read(files[TREES_FILE], TREES_FILE), **arrays}
    kept = {name: array for name, array in found.items() if array is not None}
    return {**files, TREES_FILE: tensors.written(kept)}


def with_document(forest: Any, **changes: Any) -> dict[str, bytes]:
    files = forest.files()
    return {**files, DOCUMENT_FILE: json.dumps({**json.loads(files[DOCUMENT_FILE]), **changes}).encode()}


@pytest.mark.parametrize(
    ("arrays", "error"),
    [
        ({"value": None}, "want exactly the arrays default_left, feature"),
        ({"cover": np.zeros(1)}, "want exactly the arrays"),
        ({"roots": np.zeros((1, 1), np.int32)}, r"roots: int32 \(1, 1\): want a list of int32"),
        ({"left": np.zeros(3)}, "left: float64 .*: want a list of int32"),
        ({"left": np.zeros(3, np.int32)}, "3 of left for"),
        ({"feature": np.empty(0, np.int32)}, "for 0 nodes"),
    ],
)
def test_arrays_that_are_no_forest_are_refused(forest: Any, arrays: dict[str, Any], error: str) -> None:
    with pytest.raises(ArtefactError, match=f"{TREES_FILE}: .*{error}"):
        type(forest).of(with_arrays(forest, **arrays), READ)


def test_leaves_that_are_no_probabilities_are_refused() -> None:
    forest = random_forest(READ)
    value = tensors.read(forest.files()[TREES_FILE], TREES_FILE)["value"]
    for wrong in (value + 1.0, value - 1.0):
        with pytest.raises(ArtefactError, match=f"{TREES_FILE}: value: want probabilities"):
            Forest.of(with_arrays(forest, value=wrong), READ)


def test_leaves_that_are_no_lengths_of_paths_are_refused() -> None:
    forest = isolation_forest(READ)
    value = tensors.read(forest.files()[TREES_FILE], TREES_FILE)["value"]
    with pytest.raises(ArtefactError, match=f"{TREES_FILE}: value: want lengths of paths"):
        Isolation.of(with_arrays(forest, value=value - 100.0), READ)


@pytest.mark.parametrize("length", [0.0, -1.0, 1e9, "4", None])
def test_a_usual_length_that_is_none_is_refused(length: Any) -> None:
    with pytest.raises(ArtefactError, match=f"{DOCUMENT_FILE}: usual_length"):
        Isolation.of(with_document(isolation_forest(READ), usual_length=length), READ)


def test_a_document_with_other_keys_is_refused(forest: Any) -> None:
    with pytest.raises(ArtefactError, match=f"{DOCUMENT_FILE}: want exactly the keys"):
        type(forest).of(with_document(forest, more=1), READ)


@settings(deadline=None, max_examples=150)
@given(
    kind=st.sampled_from(sorted(MADE)),
    changes=st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_whatever_bytes_the_arrays_have_they_are_refused_or_score(kind: str, changes: list[tuple[int, int]]) -> None:
    forest = MADE[kind]()
    content = bytearray(forest.files()[TREES_FILE])
    for at, byte in changes:
        content[at % len(content)] = byte
    try:
        again = type(forest).of({**forest.files(), TREES_FILE: bytes(content)}, READ)
    except ArtefactError:
        return
    score = again.score(odd_rows(1, 30, 3))
    assert ((score >= 0) & (score <= 1)).all()
