"""What each column adds to a sum of trees: Shapley values, by their definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.documents import ArtefactError
from models.shares import Shares
from tests.support.ensembles import covers, ensemble, odd_rows, random_trees, shapley

seeds = st.integers(0, 10_000)


@settings(deadline=None, max_examples=60)
@given(seed=seeds, nan=st.booleans(), features=st.integers(1, 5), leaves=st.integers(1, 25))
def test_a_share_is_the_shapley_value_over_all_sets(seed: int, nan: bool, features: int, leaves: int) -> None:
    """Paths that ask for a feature again and again, missing in each way, trees of one leaf."""
    trees = random_trees(seed, count=3, leaves=leaves, features=features)
    cover, x = covers(trees, seed), odd_rows(seed, 2, features, nan=nan)
    found = Shares(ensemble(trees, features), cover, "file").of(x)
    for row, shares in zip(x.tolist(), found.tolist(), strict=True):
        assert shares == pytest.approx(shapley(trees, cover, row, features), abs=1e-12)


@settings(deadline=None, max_examples=20)
@given(seed=seeds, leaves=st.sampled_from([2, 16, 17, 18, 33, 60, 200]), features=st.sampled_from([3, 40, 150]))
def test_shares_and_base_make_the_sum_however_deep_a_tree_is(seed: int, leaves: int, features: int) -> None:
    """150 features on one path: a recursion that unwinds its sums has no digit left."""
    trees = random_trees(seed, count=2, leaves=leaves, features=features, chain=True)
    x = odd_rows(seed, 20, features)
    walked = ensemble(trees, features)
    shares = Shares(walked, covers(trees, seed), "file")
    assert shares.base + shares.of(x).sum(axis=1) == pytest.approx(walked.sums(x), abs=1e-11)


def test_rows_are_explained_alike_in_any_batch() -> None:
    trees, x = random_trees(3, count=9, leaves=30), odd_rows(4, 40, 4, nan=True)
    shares = Shares(ensemble(trees, 4), covers(trees, 1), "file")
    alone = np.concatenate([shares.of(row[None]) for row in x])
    assert shares.of(x).tobytes() == alone.tobytes()


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0.0, "want a count of 1 to 2.53 for each of"),
        (-1.0, "want a count of 1 to"),
        (np.nan, "want a count of 1 to"),
        (np.inf, "want a count of 1 to"),
        (1e300, "want a count of 1 to"),
        (1e6, "node 0: count 1e[+]06 is not that of its children"),
    ],
)
def test_covers_that_do_not_add_up_are_refused(value: float, error: str) -> None:
    trees = random_trees(2)
    cover = covers(trees, 1)
    cover[0] = value
    with pytest.raises(ArtefactError, match=f"file: {error}"):
        Shares(ensemble(trees, 4), cover, "file")
    with pytest.raises(ArtefactError, match="file: want a count of 1 to"):
        Shares(ensemble(trees, 4), cover[1:], "file")


def test_splits_of_one_feature_may_differ_in_what_is_missing() -> None:
    trees = random_trees(12, count=2, leaves=20, features=2)
    trees = replace(trees, missing=np.where(trees.leaf, 0, np.arange(len(trees.feature)) % 3))
    cover, x = covers(trees, 2), odd_rows(3, 30, 2, nan=True)
    found = Shares(ensemble(trees, 2), cover, "file").of(x)
    for row, shares in zip(x.tolist(), found.tolist(), strict=True):
        assert shares == pytest.approx(shapley(trees, cover, row, 2), abs=1e-12)
