"""Trees as arrays: walked as they are told, with the same bytes in any batch, and nothing hostile gets in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.documents import ArtefactError
from models.exact import Floats
from models.trees import DEEPEST, NO_NODE, Trees, checked, renumbered
from tests.support.ensembles import ensemble, odd_rows, random_trees, sum_of

seeds = st.integers(0, 10_000)
NODE_ARRAYS = ("feature", "threshold", "left", "right", "value", "missing", "default_left")


def expected(trees: Trees, x: Floats) -> list[float]:
    return [sum_of(trees, row) for row in x.tolist()]


@settings(deadline=None)
@given(seed=seeds, nan=st.booleans(), n=st.integers(0, 9), count=st.integers(1, 9))
def test_a_sum_is_that_of_the_leaves_that_a_row_comes_to(seed: int, nan: bool, n: int, count: int) -> None:
    """Ties, both zeros, what LightGBM takes for zero, huge values, and NaN, whatever is missing at a node."""
    trees, x = random_trees(seed, count=count), odd_rows(seed, n, 4, nan=nan)
    assert ensemble(trees, 4).sums(x).tolist() == expected(trees, x)


@pytest.mark.parametrize("n", [1, 3, 4, 63, 64, 65, 130, 200])
def test_a_row_has_the_same_bytes_in_any_batch(n: int) -> None:
    """Rows walk by fours, in blocks of 64, and what is left over alone: all give the same sum."""
    trees, x = random_trees(3, count=11, leaves=40), odd_rows(4, n, 4)
    x[n // 2] = np.nan
    alone = np.concatenate([ensemble(trees, 4).sums(row[None]) for row in x])
    assert ensemble(trees, 4).sums(x).tobytes() == alone.tobytes()


def test_infinite_values_go_to_one_side() -> None:
    trees, x = random_trees(8), np.array([[np.inf] * 4, [-np.inf] * 4])
    assert ensemble(trees, 4).sums(x).tolist() == expected(trees, x)


def test_trees_of_one_leaf_add_their_value() -> None:
    trees = random_trees(5, count=7, leaves=1)
    assert ensemble(trees, 0).sums(np.zeros((2, 0))).tolist() == expected(trees, np.zeros((2, 0)))


def test_a_path_may_be_as_deep_as_is_said_and_no_deeper() -> None:
    deepest, deeper = (random_trees(1, count=1, leaves=steps + 1, chain=True) for steps in (DEEPEST, DEEPEST + 1))
    x = odd_rows(2, 50, 4)
    assert ensemble(deepest, 4).sums(x).tolist() == expected(deepest, x)
    with pytest.raises(ArtefactError, match=f"file: a tree is deeper than {DEEPEST}"):
        checked(deeper, 4, "file")


def test_features_that_nobody_asks_for_are_left_out() -> None:
    trees = random_trees(6, features=2)
    wide = replace(trees, feature=np.where(trees.leaf, NO_NODE, 3 * trees.feature + 1))
    again, used = renumbered(wide)
    assert used.tolist() == [1, 4]
    assert again.feature.tolist() == trees.feature.tolist()


def changed(trees: Trees, name: str, at: int, value: float) -> Trees:
    array = getattr(trees, name).copy()
    array[at] = value
    return replace(trees, **{name: array})


SPLIT = 0  # of `random_trees(2)`: the root of a tree with some leaves


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("feature", 4, "node 0: feature 4: want 0 to 3"),
        ("feature", -1, "node 0: feature -1: want 0 to 3"),
        ("left", 0, "node 0: left 0: want a node behind it"),
        ("left", 10**6, "node 0: left 1000000: want a node behind it"),
        ("right", -7, "node 0: right -7: want a node behind it"),
        ("left", NO_NODE, "right 2: want none where there is no left child"),
        ("left", 3, "want each of .* nodes once"),
        ("threshold", np.nan, "node 0: threshold nan: want a number"),
        ("value", np.inf, "node 0: value inf: want a finite number"),
        ("value", 1e101, "leaves add up to"),
        ("missing", 3, "node 0: missing 3: want 0 to 2"),
        ("default_left", 2, "node 0: default_left 2: want 0 or 1"),
        ("roots", 5, "want each of .* nodes once"),
        ("roots", 10**9, "want each of .* nodes once"),
    ],
)
def test_arrays_that_are_no_trees_are_refused(name: str, value: float, error: str) -> None:
    with pytest.raises(ArtefactError, match=f"file: .*{error}"):
        checked(changed(random_trees(2), name, SPLIT, value), 4, "file")


def test_arrays_of_different_lengths_are_refused() -> None:
    trees = random_trees(2)
    with pytest.raises(ArtefactError, match=r"file: \d+ of value for \d+ nodes: want one each"):
        checked(replace(trees, value=trees.value[:-1]), 4, "file")
    with pytest.raises(ArtefactError, match="file: no trees"):
        checked(replace(trees, roots=trees.roots[:0]), 4, "file")


@settings(deadline=None, max_examples=300)
@given(
    seed=seeds,
    changes=st.lists(
        st.tuples(
            st.sampled_from(["roots", *NODE_ARRAYS]),
            st.integers(0, 10**6),
            st.one_of(st.integers(-3, 40), st.integers(-(2**62), 2**62)),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_whatever_arrays_hold_they_are_refused_or_walked(seed: int, changes: list[tuple[str, int, int]]) -> None:
    trees = random_trees(seed)
    for name, at, value in changes:
        trees = changed(trees, name, at % len(getattr(trees, name)), value)
    x = odd_rows(seed, 5, 4)
    try:
        checked(trees, 4, "file")
    except ArtefactError:
        return
    assert ensemble(trees, 4).sums(x).tolist() == expected(trees, x)
