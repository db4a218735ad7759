"""Fitting boosted trees with LightGBM: the value of models/boosted.py.

Where a later slice is given, trees are added until its log loss has not fallen for `patience` trees, and the best
number of them is kept. Same data, same options, same seed: same files, however many threads there are.
The price: LightGBM's `deterministic` with rows held by rows costs a tenth of its speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from models.boosted import TEXT_FILE, Boosted
from models.exact import Floats
from models.lightgbm_text import END, parsed
from training.fits.progress import Progress, Step
from training.fits.table import inputs_for, with_both

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Boosting:
    """What is chosen of LightGBM's parameters; the names are ours, what they are there stands behind."""

    trees: int = 300  # num_iterations: at most, where there is a validation slice
    leaves: int = 31  # num_leaves
    rate: float = 0.05  # learning_rate
    least_rows: int = 50  # min_data_in_leaf
    columns: float = 0.5  # feature_fraction: of each tree
    rows: float = 0.8  # bagging_fraction: of each tree
    ridge: float = 5.0  # lambda_l2
    fraud_weight: float = 1.0  # scale_pos_weight; other than 1 the score is no probability before it is calibrated
    bins: int = 255  # max_bin
    patience: int = 50  # early stopping, in trees
    threads: int = 1  # num_threads


def fit(
    x: Floats,
    fraud: Bools,
    names: Sequence[str],
    *,
    seed: int,
    options: Boosting | None = None,
    validation: tuple[Floats, Bools] | None = None,
    progress: Progress | None = None,
) -> Boosted:
    """A model of (n, d) vectors and (n,) labels; `validation` is a later slice of the same columns.

    Raises ValueError where one class is absent, in the validation slice too.
    """
    options = options or Boosting()
    with_both(fraud)
    kept: dict[str, Any] = {"free_raw_data": False, "params": _parameters(options, seed)}
    table = lightgbm.Dataset(x, fraud.astype(np.float64), feature_name=list(names), **kept)
    watch = _Watch(options, progress)
    slices: list[Any] = []
    if validation is not None:
        with_both(validation[1])
        slices = [table.create_valid(validation[0], validation[1].astype(np.float64))]
    booster = lightgbm.train(
        _parameters(options, seed), table, options.trees, valid_sets=slices, valid_names=["later"] * len(slices),
        callbacks=[watch],
    )  # fmt: skip
    text = plain(booster.model_to_string(num_iteration=watch.best))
    return Boosted(text, inputs_for(x, names, parsed(text, TEXT_FILE).read), names)


def plain(text: str) -> bytes:
    """LightGBM's text up to the last tree: what follows are its parameters, the number of threads among them."""
    return text[: text.index(END)].encode() + f"{END}\n".encode()


class _Watch:
    """Tells of each tree, and ends the fit: LightGBM calls it after each, and takes an exception for the end."""

    def __init__(self, options: Boosting, progress: Progress | None) -> None:
        self._options, self._progress = options, progress
        self.best, self._least = -1, np.inf  # -1: all trees

    def __call__(self, env: lightgbm.callback.CallbackEnv) -> None:
        done, told = env.iteration + 1, env.evaluation_result_list
        loss = float(told[0][2]) if told else None
        if loss is not None and loss < self._least:
            self.best, self._least = done, loss
        go_on = self._progress is None or self._progress(Step(done, self._options.trees, loss))
        if not go_on or (loss is not None and done - self.best >= self._options.patience):
            raise lightgbm.callback.EarlyStopException(done - 1, told or [])


def _parameters(options: Boosting, seed: int) -> dict[str, Any]:
    return {
        "objective": "binary",
        "metric": "binary_logloss",
        "num_leaves": options.leaves,
        "learning_rate": options.rate,
        "min_data_in_leaf": options.least_rows,
        "feature_fraction": options.columns,
        "bagging_fraction": options.rows,
        "bagging_freq": 1 if options.rows < 1 else 0,
        "lambda_l2": options.ridge,
        "scale_pos_weight": options.fraud_weight,
        "max_bin": options.bins,
        "num_threads": options.threads,
        "seed": seed % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
