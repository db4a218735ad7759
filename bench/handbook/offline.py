"""Models on the table of vectors: by the book's protocol, and on everything labelled before the cut.

    python -m bench.handbook judge --table FILE --kind boosted [--choosing] [--mode week|everything]

`--choosing` takes the weeks before the test, which is where columns and parameters were chosen. Beside the figures
stand three that would tell of a leak: labels shuffled among the training rows, with several seeds (AUC near .5), the
same model without anything that labels say, and the column that finds most frauds alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from bench.handbook import weeks
from bench.handbook.chosen import COLUMNS, SEED
from bench.handbook.fitting import fit
from bench.handbook.weeks import Table
from features.columns import Floats, Floats2d
from training.handbook import Bools, Split
from training.metrics import Scored, measure_all

SPLITS: Final[Mapping[str, Callable[..., Split]]] = {"week": weeks.week, "everything": weeks.everything}
SHUFFLES: Final = 20
T_OF_19: Final = 2.093  # Student's t: the interval of a mean of SHUFFLES
LABELLED: Final = ("risk", "fraud")  # in the names of columns that labels speak through


def judge(table: Table, kind: str, tests: Sequence[str], mode: str) -> dict[str, Any]:
    """The figures of each test week, and their mean."""
    found: dict[str, Any] = {}
    for test in tests:
        split = SPLITS[mode](table.transactions, test)
        scored = scored_on(table, split, kind, table.x, mode=mode)
        found[test] = {name: one.as_json() for name, one in measure_all(scored, SEED).items()} | {
            "trained_on": len(split.train),
            "orders": len(split.test),
            "frauds": int(scored.fraud.sum()),
        }
    mean = {
        name: round(float(np.mean([found[test][name]["value"] for test in tests])), 4)
        for name in ("auc", "ap", "cp100")
    }
    return {"mode": mode, "kind": kind, "weeks": found, "mean": mean}


def scored_on(
    table: Table, split: Split, kind: str, x: Floats2d, fraud: Bools | None = None, mode: str = "week"
) -> Scored:
    """A model of the training rows on the test rows; `fraud`: other labels to train on."""
    t = table.transactions
    labels = t.fraud if fraud is None else fraud
    model = fit(kind, x[split.train], labels[split.train], table.names, mode)
    test = t.rows(split.test)
    return Scored(model.score(x[split.test]), test.fraud, test.customer, test.day)


def leaks(table: Table, kind: str, test: str, mode: str = "week") -> dict[str, Any]:
    """What would look wrong if a vector knew what it must not."""
    split = SPLITS[mode](table.transactions, test)
    unlabelled = table.x.copy(order="F")
    unlabelled[:, [at for at, name in enumerate(table.names) if any(word in name for word in LABELLED)]] = 0.0
    return {
        "labels_shuffled": _shuffled(table, split, kind, mode),
        "nothing_of_labels": _short(scored_on(table, split, kind, unlabelled, mode=mode)),
        "best_column_alone": _best_column(table, split),
    }


def _shuffled(table: Table, split: Split, kind: str, mode: str) -> dict[str, Any]:
    """Labels shuffled among the training rows, SHUFFLES times: each AUC, and their mean with its interval of 95 %."""
    found = []
    for seed in range(SEED, SEED + SHUFFLES):
        labels = table.transactions.fraud.copy()
        labels[split.train] = np.random.default_rng(seed).permutation(labels[split.train])
        found.append(_short(scored_on(table, split, kind, table.x, labels, mode)))
    aucs = np.array([one["auc"] for one in found])
    mean, half = float(aucs.mean()), T_OF_19 * float(aucs.std(ddof=1)) / len(aucs) ** 0.5
    return {
        "auc": {"mean": round(mean, 4), "low": round(mean - half, 4), "high": round(mean + half, 4)},
        "aucs": aucs.tolist(),
        "ap": round(float(np.mean([one["ap"] for one in found])), 4),
    }


def _best_column(table: Table, split: Split) -> dict[str, Any]:
    """By AUC, whichever way it points."""
    test = table.transactions.rows(split.test)

    def auc(values: Floats) -> float:
        found = Scored(values, test.fraud, test.customer, test.day).auc()
        return max(found, 1.0 - found)

    aucs = {name: auc(table.x[split.test, table.names.index(name)]) for name in COLUMNS}
    best = max(aucs, key=lambda name: aucs[name])
    return {"column": best, "auc": round(aucs[best], 4)}


def _short(scored: Scored) -> dict[str, float]:
    return {"auc": round(scored.auc(), 4), "ap": round(scored.average_precision(), 4)}
