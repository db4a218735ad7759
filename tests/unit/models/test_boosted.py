"""Boosted trees are LightGBM's: its sums, its contributions, its text, and nothing that only looks like it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.boosted import INPUTS_FILE, TEXT_FILE, Boosted
from models.documents import ArtefactError
from models.exact import Floats
from models.inputs import Inputs
from models.kernel.leaves import TINY
from models.lightgbm_text import END, parsed

NAMES = ("a", "b", "c", "d")
Change = Callable[[str], str]


def rows(n: int = 3000, seed: int = 1, *, nan: bool = False) -> Floats:
    """Values that tie, zeros of all sizes, tails."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.integers(0, 9, n), rng.lognormal(0, 3, n), rng.normal(size=n), rng.choice([0.0, 1.0], n)])
    x[rng.random((n, 4)) < 0.1] = 0.0
    x[rng.random((n, 4)) < 0.02] = 1e-36
    if nan:
        x[rng.random((n, 4)) < 0.1] = np.nan
    return x


@cache
def booster(**parameters: Any) -> lightgbm.Booster:
    x = rows(nan=bool(parameters.pop("nan", False)))
    filled = np.nan_to_num(x)
    odds = filled[:, 0] - 4 + filled[:, 2] * (filled[:, 1] > 1) + np.isnan(x[:, 1]) * 2
    fraud = np.random.default_rng(2).random(len(x)) < 1 / (1 + np.exp(-odds))
    chosen = {"objective": "binary", "verbosity": -1, "num_threads": 1, "num_leaves": 15, "seed": 1, **parameters}
    return lightgbm.train(chosen, lightgbm.Dataset(x, fraud.astype(float), feature_name=list(NAMES)), 30)


def text_of(**parameters: Any) -> str:
    text: str = booster(**parameters).model_to_string()
    return text


def model_of(text: str, names: tuple[str, ...] = NAMES) -> Boosted:
    read = parsed(text.encode(), TEXT_FILE).read
    return Boosted(text.encode(), Inputs(read, np.zeros(len(read))), names)


MISSING: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"nan": True},
    {"zero_as_missing": True},
    {"zero_as_missing": True, "nan": True},
    {"use_missing": False},
    {"use_missing": False, "nan": True},
    {"sigmoid": 0.7},
    {"num_leaves": 200, "min_data_in_leaf": 1},
    {"max_depth": 1},
)


@pytest.mark.parametrize("parameters", MISSING, ids=str)
def test_sums_are_lightgbms(parameters: dict[str, Any]) -> None:
    """With whatever counts as missing when it is fitted, and rows with zeros, NaN and values on the thresholds."""
    theirs, ours = booster(**parameters), model_of(text_of(**parameters))
    thresholds = parsed(text_of(**parameters).encode(), TEXT_FILE).trees.threshold[:100]
    on = np.repeat([*thresholds, 0.0, 1e-35, -1e-35, TINY, -TINY], 4).reshape(-1, 4)
    for x in (rows(500, 3), rows(500, 4, nan=True), on, np.nextafter(on, np.inf), np.nextafter(on, -np.inf)):
        assert ours._ensemble.sums(x) == pytest.approx(theirs.predict(x, raw_score=True), abs=1e-9)
        assert ours.score(x) == pytest.approx(theirs.predict(x), abs=5.1e-7)


@pytest.mark.parametrize("parameters", MISSING, ids=str)
def test_contributions_are_lightgbms(parameters: dict[str, Any]) -> None:
    theirs, ours = booster(**parameters), model_of(text_of(**parameters))
    sigmoid = parameters.get("sigmoid", 1.0)
    for x in (rows(100, 3), rows(100, 4, nan=True)):
        expected = theirs.predict(x, pred_contrib=True) * sigmoid
        places = [NAMES.index(name) for name in ours.reads]
        assert ours.contributions(x) == pytest.approx(expected[:, places], abs=1e-6)
        assert ours.base == pytest.approx(expected[0, -1], abs=1e-6)


def test_trees_of_a_single_leaf_are_a_constant() -> None:
    x = rows(100)
    text = lightgbm.train(
        {"objective": "binary", "verbosity": -1, "min_data_in_leaf": 1000},
        lightgbm.Dataset(x, (x[:, 0] > 4).astype(float), feature_name=list(NAMES)),
        2,
    )
    ours = model_of(text.model_to_string())
    assert ours.reads == ()
    assert ours.score(x) == pytest.approx(text.predict(x), abs=5.1e-7)
    assert ours.contributions(x).shape == (100, 0)


def test_columns_that_no_split_asks_for_are_not_read() -> None:
    text = text_of(max_depth=1, interaction_constraints="[0]")
    ours = model_of(text)
    assert ours.reads == ("a",)
    assert Boosted.of(ours.files(), ("new", "a")).score(np.zeros((1, 2))) == ours.score(np.zeros((1, 4)))


def test_the_text_that_is_kept_is_the_one_that_was_read_and_lightgbm_reads_it() -> None:
    ours = model_of(text_of())
    assert ours.files()[TEXT_FILE] == text_of().encode()
    cut = text_of()[: text_of().index(END)] + END + "\n"
    again = lightgbm.Booster(model_str=cut)
    assert np.array_equal(np.asarray(again.predict(rows(50))), np.asarray(booster().predict(rows(50))))


def test_inputs_are_the_features_that_are_split_on() -> None:
    for inputs in (("a", "b", "d", "c"), ("a", "b", "c"), ("a", "b", "c", "other")):
        with pytest.raises(
            ArtefactError, match=r"inputs.json: \d inputs: want the 4 features that model.txt splits on"
        ):
            Boosted(text_of().encode(), Inputs(inputs, np.zeros(len(inputs))), NAMES)


def swapped(old: str, new: str) -> Change:
    def change(text: str) -> str:
        made, found = re.subn(old, new, text, count=1, flags=re.M)
        assert found
        return made

    return change


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (swapped("^tree$", "wood"), "begins with 'wood'"),
        (swapped("^version=v4$", "version=v9"), "version 'v9': want v3 or v4"),
        (swapped("^version=v4\n", ""), "version is missing"),
        (swapped("^num_class=1$", "num_class=3"), "num_class is not 1"),
        (swapped("^objective=.*$", "objective=regression"), "objective 'regression': want 'binary sigmoid:1'"),
        (swapped("sigmoid:1", "sigmoid:nan"), "objective 'binary sigmoid:nan'"),
        (swapped("^label_index=0$", "average_output"), "a random forest .*see kind forest"),
        (swapped("^num_cat=0$", "num_cat=1"), "Tree=0: categorical splits"),
        (swapped("^decision_type=\\d+", "decision_type=1"), "Tree=0: categorical splits"),
        (swapped("^decision_type=\\d+", "decision_type=12"), "Tree=0: decision_type 12: want 0 to 11"),
        (swapped("^is_linear=0$", "is_linear=1"), "Tree=0: linear leaves: fit it with linear_tree=false"),
        (swapped("^is_linear=0$", "leaf_const=1 2"), "Tree=0: linear leaves"),
        (swapped("^shrinkage=1$", "bend=2"), "Tree=0: 'bend': want each of"),
        (swapped("^shrinkage=1$", "num_cat=0"), "Tree=0: 'num_cat': want each of .* once at most"),
        (swapped("^Tree=1$", "Tree=7"), "'Tree=7': want Tree=1"),
        (swapped(f"^{END}$", ""), "no 'end of trees': the file was cut"),
        (swapped("^tree_sizes=\\d+ ", "tree_sizes="), "30 trees: want one for each of tree_sizes"),
        (swapped("^max_feature_idx=3$", "max_feature_idx=4"), "4 feature_names: want max_feature_idx"),
        (swapped("^feature_names=a b", "feature_names=a a"), "4 feature_names: want"),
        (swapped("^num_leaves=15$", "num_leaves=14"), "Tree=0: 15 numbers in leaf_value: want 14"),
        (swapped("^num_leaves=15$", "num_leaves=0"), "Tree=0: num_leaves=0"),
        (swapped("^leaf_value=\\S+", "leaf_value=nan"), "value nan: want a finite number"),
        (swapped("^leaf_value=\\S+", "leaf_value=x"), "leaf_value: could not convert"),
        (swapped("^threshold=\\S+", "threshold=nan"), "threshold nan: want a number"),
        (swapped("^split_feature=\\d+", "split_feature=4"), "feature 4: want 0 to 3"),
        (swapped("^left_child=\\S+", "left_child=0"), "left 0: want a node behind it"),
        (swapped("^left_child=\\S+", "left_child=-99"), "Tree=0: left_child: want inner nodes below 14"),
        (swapped("^right_child=\\S+", "right_child=9999999999999999999"), "want whole numbers of 53 bits"),
        (swapped("^leaf_count=\\d+", "leaf_count=0"), "want a count of 1 to"),
        (swapped("^internal_count=\\d+", "internal_count=7"), "node 0: count 7 is not that of its children"),
    ],
)
def test_text_that_means_another_model_is_refused(change: Change, error: str) -> None:
    with pytest.raises(ArtefactError, match=f"{TEXT_FILE}: .*{error}"):
        model_of(change(text_of()))


def test_text_that_is_none_is_refused() -> None:
    for content in (b"", b"tree", "trée".encode(), b"\xff\xfe"):
        with pytest.raises(ArtefactError, match=r"model\.txt"):
            Boosted(content, Inputs((), np.zeros(0)), NAMES)


@cache
def short() -> str:
    text = text_of(num_leaves=4)
    return text[: text.index("Tree=2")] + END + "\n"


@settings(deadline=None, max_examples=300)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 10**6), st.sampled_from([*"0123456789-+.eE =\n", "nan", "99999", ""])),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_the_text_holds_it_is_refused_or_scores(changes: list[tuple[int, str]]) -> None:
    text = re.sub("^tree_sizes=.*$", "tree_sizes=1 1", short(), flags=re.M)
    for at, put in changes:
        place = at % len(text)
        text = text[:place] + put + text[place + 1 :]
    x = rows(20, 5, nan=True)
    try:
        ours = model_of(text)
    except ArtefactError:
        return
    score = ours.score(x)
    assert ((score >= 0) & (score <= 1)).all()
    assert np.isfinite(ours.contributions(x)).all()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda text: text.replace("boosted 1", "boosted 2"), "format 'boosted 2': this release reads 'boosted 1'"),
        (lambda text: text.replace('"usual": 0.0', '"usual": NaN', 1), "input 'a': usual = nan: want a finite number"),
        (lambda text: text.replace('"usual"', '"often"', 1), "inputs is missing, or is no list of names"),
        (lambda text: text.replace('"b"', '"a"', 1), "want different names"),
        (lambda text: text.replace('"b"', "7", 1), "want different names"),
    ],
)
def test_inputs_that_are_none_are_refused(change: Change, error: str) -> None:
    files = model_of(text_of()).files()
    with pytest.raises(ArtefactError, match=f"inputs.json: .*{error}"):
        Boosted.of(files | {INPUTS_FILE: change(files[INPUTS_FILE].decode()).encode()}, NAMES)
