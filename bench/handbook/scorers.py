"""Each scorer alone and the blend of them, on the table of vectors: docs/figures/handbook-scorers.json.

    python -m bench.handbook weigh --table FILE       the weights of the blend
    python -m bench.handbook scorers --table FILE     the figure

Weights are found on the weeks before the test; members and blend are then judged on the weeks of test, trained on the
book's week and on everything labelled. The network is no member of the blend; it is judged in the book's week alone,
and needs torch.
What would tell of a leak is asked of boosted trees, shuffled labels for twenty seeds. One alone says nothing: a model
that knows nothing leans by chance one way or the other on columns that tell frauds well, and its AUC is .35 to .61. So
it is the interval of their mean that must reach what is asked for.
The price: an hour of one core, nine tenths of it forests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import figure
from bench.handbook import weeks
from bench.handbook.chosen import BLEND, SEED, WEIGHTS
from bench.handbook.fitting import blended, fit
from bench.handbook.offline import SPLITS, leaks
from bench.handbook.weeks import Table
from features.columns import Floats
from training.batch.weigh import Weights, weights
from training.handbook import Split
from training.metrics import Scored, measure_all

EVERYTHING_AP: Final = {"mean": 0.74, weeks.TESTS[0]: 0.75}
NETWORK_BEHIND: Final = 0.02  # of boosted trees, in average precision
CALIBRATION: Final = 0.005
TOP_GAP: Final = 0.2  # of the rate
NO_SKILL: Final = (0.47, 0.53)
TARGET: Final = (
    "everything labelled: AP .75 in the book's week, .74 in the mean of four, the network at most .02 behind "
    "boosted trees; the blend in the book's week: calibration error .005, in the top 1 % 20 % of the rate; "
    "shuffled labels: the interval of the mean AUC of twenty seeds reaches .47 to .53"
)


def kinds_of(test: str) -> tuple[str, ...]:
    """Those that are judged in a week: the members, and in the book's the network."""
    return (*WEIGHTS.of, "network") if test == weeks.TESTS[0] else tuple(WEIGHTS.of)


def weigh(table: Table, mode: str = "week") -> Weights:
    """What the weeks before the test say of the members, all four together."""
    told: dict[str, list[Floats]] = {kind: [] for kind in WEIGHTS.of}
    fraud = []
    for test in weeks.CHOOSING:
        split = SPLITS[mode](table.transactions, test)
        for kind, score in _alone(table, split, tuple(told), mode)[1].items():
            told[kind].append(score)
        fraud.append(table.transactions.fraud[split.test])
    return weights({kind: np.concatenate(scores) for kind, scores in told.items()}, np.concatenate(fraud))


@dataclass(frozen=True, slots=True)
class Pass:
    """A week of test after a mode of training."""

    mode: str
    test: str


def judged(one: Pass, path: Path) -> dict[str, Any]:
    """The figures of each kind and of the blend."""
    table = weeks.read(path)
    split = SPLITS[one.mode](table.transactions, one.test)
    models, told = _alone(table, split, kinds_of(one.test), one.mode)
    of = blended({kind: models[kind] for kind in WEIGHTS.of}, table.names)
    rows = table.transactions.rows(split.test)
    scored = {
        kind: Scored(score, rows.fraud, rows.customer, rows.day)
        for kind, score in {**told, BLEND: of.of_members(told)}.items()
    }
    return {kind: {name: got.as_json() for name, got in measure_all(of, SEED).items()} for kind, of in scored.items()}


def _alone(table: Table, split: Split, kinds: Sequence[str], mode: str) -> tuple[dict[str, Any], dict[str, Floats]]:
    fraud = table.transactions.fraud[split.train]
    models = {kind: fit(kind, table.x[split.train], fraud, table.names, mode) for kind in kinds}
    return models, {kind: model.score(table.x[split.test]) for kind, model in models.items()}


def _mean(found: Mapping[str, Any], kind: str) -> dict[str, float]:
    return {
        name: round(float(np.mean([of[kind][name]["value"] for of in found.values()])), 4)
        for name in ("auc", "ap", "cp100")
    }


def holds(value: Mapping[str, Any]) -> dict[str, bool]:
    """Each of what is asked for."""
    every, book = value["everything"], value["week"]["weeks"][weeks.TESTS[0]][BLEND]
    there = every["weeks"][weeks.TESTS[0]]
    behind = there["boosted"]["ap"]["value"] - there["network"]["ap"]["value"]
    shuffled = value["leaks"]["labels_shuffled"]["auc"]
    return {
        "everything, mean": every["mean"][BLEND]["ap"] >= EVERYTHING_AP["mean"],
        "everything, the book's week": there[BLEND]["ap"]["value"] >= EVERYTHING_AP[weeks.TESTS[0]],
        "network": behind <= NETWORK_BEHIND,
        "calibration": book["calibration"]["value"] <= CALIBRATION,
        "top 1 %": book["top_gap"]["value"] <= TOP_GAP * book["top_rate"]["value"],
        "shuffled": shuffled["low"] <= NO_SKILL[1] and shuffled["high"] >= NO_SKILL[0],
    }


def write(path: Path, data_hash: str, jobs: int = 1) -> Path:
    """Measures all of it on a table and writes the figure; each of `jobs` processes holds the table, 1 GB."""
    value: dict[str, Any] = {mode: {"weeks": {}} for mode in SPLITS}
    passes = [Pass(mode, test) for mode in SPLITS for test in weeks.TESTS]
    with ProcessPoolExecutor(jobs) as pool:
        for one, found in zip(passes, pool.map(judged, passes, [path] * len(passes)), strict=True):
            print(one.mode, one.test, {kind: of["ap"]["value"] for kind, of in found.items()}, flush=True)
            value[one.mode]["weeks"][one.test] = found
    for of in value.values():
        of["mean"] = {kind: _mean(of["weeks"], kind) for kind in (*WEIGHTS.of, BLEND)}
    table = weeks.read(path)
    value["leaks"] = leaks(table, "boosted", weeks.TESTS[0])
    each = holds(value)
    return figure.write(
        "handbook-scorers",
        value=value,
        target=TARGET,
        command="python -m bench.handbook scorers --table FILE",
        data_hash=data_hash,
        holds=all(each.values()),
        each=each,
        weights={**WEIGHTS.of, "bias": WEIGHTS.bias},
        table=dict(table.about),
    )
