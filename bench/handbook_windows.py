"""The Fraud Handbook's own windows as features of ours, beside the book's, rebuilt from its description.

    python -m bench.handbook_windows --data DIR        writes docs/figures/handbook-windows.json

Customers: number and mean amount of their transactions within 1, 7 and 30 days, the current one included. Terminals:
number, and share of known frauds, of the same windows seven days earlier. The book's are `(t - days, t]` to the second
(training/handbook.py). Ours are exact where an entity's newest `keep` events reach back to the start of the window, and
may differ by what lies in one tile where they do not: how often, and what that costs a model in average precision, is
measured for several `keep`. A fraud is told as an outcome seven days after it happened, as a label would be.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import figure
from features.columns import Columns, Floats, Floats2d, Ints
from features.feature import Count, Feature, Mean, Share
from features.group import Group
from features.kinds import FRAUD, ORDERED
from features.window import DAY_MS, HOUR_MS, WINDOW_7D, WINDOW_30D, Window
from training import handbook
from training.fits.logistic import fit
from training.handbook import Transactions
from training.history import BATCH, Bags
from training.metrics import Scored, measure

WINDOWS = (Window("1d", HOUR_MS, 24), WINDOW_7D, WINDOW_30D)
DELAY_MS = handbook.DELAY_DAYS * DAY_MS
KEEPS = (0, 16, 64, 256)
SEED = 20180725
MOST_LOST = 0.005  # of average precision
COLUMNS = handbook.FEATURES[3:]  # those that are windows


def groups(keep: int) -> tuple[Group, Group]:
    """Customers and terminals; what happened last ends every window, so there is no grace."""
    told = {"keep": keep, "cap": keep + 24, "grace_ms": 0}
    customer = tuple(Feature(read, window) for window in WINDOWS for read in (Count(), Mean()))
    terminal = tuple(
        Feature(read, window, of=ORDERED, delay_ms=DELAY_MS) for window in WINDOWS for read in (Count(), Share(FRAUD))
    )
    return (
        Group("customer", 1, "customer", customer, **told),  # type: ignore[arg-type] # three numbers
        Group("terminal", 2, "terminal", terminal, **told),  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class Told:
    """Transactions and, seven days later, what became of the frauds among them: (m,) in the order of arrival."""

    row: Ints  # of the transactions
    outcome: npt.NDArray[np.bool_]

    def batches(self) -> Iterator[tuple[Ints, npt.NDArray[np.bool_]]]:
        for start in range(0, len(self.row), BATCH):
            yield self.row[start : start + BATCH], self.outcome[start : start + BATCH]


def told(t: Transactions) -> Told:
    frauds = np.flatnonzero(t.fraud)
    row = np.concatenate((np.arange(len(t.id)), frauds))
    known_s = np.concatenate((t.at_s, t.at_s[frauds] + handbook.DELAY_DAYS * handbook.DAY_S))
    outcome = np.arange(len(row)) >= len(t.id)
    order = np.lexsort((row, ~outcome, known_s))
    return Told(row[order], outcome[order])


def ours(t: Transactions, keep: int) -> Floats2d:
    """(n, 12) in the order of COLUMNS."""
    customers, terminals = (Bags(group) for group in groups(keep))
    found = np.empty((len(t.id), len(COLUMNS)))
    for row, outcome in told(t).batches():
        flags = np.where(outcome, FRAUD, ORDERED)
        cents = np.rint(t.amount[row] * 100).astype(np.int64)
        ids = {"customer": [str(i) for i in t.customer[row]], "terminal": [str(i) for i in t.terminal[row]]}
        both = Columns(len(row), t.at_ms[row], cents * ~outcome, flags, ids, {}, ())
        found[row[~outcome], 6:] = terminals.fold_in(both)[~outcome]
        ids = {"customer": [str(i) for i in t.customer[row[~outcome]]]}
        placed = Columns(len(ids["customer"]), t.at_ms[row[~outcome]], cents[~outcome], flags[~outcome], ids, {}, ())
        found[row[~outcome], :6] = customers.fold_in(placed)
    found[:, 1:6:2] /= 100
    return found


def average_precision(t: Transactions, x: Floats2d) -> dict[str, Any]:
    """Of the book's logistic regression on the book's split."""
    split = handbook.split(t)
    model = fit(x[split.train], t.fraud[split.train], handbook.FEATURES, l2=1.0, squash="none")
    test = t.rows(split.test)
    return measure(Scored(model.score(x[split.test]), test.fraud, test.customer, test.day), SEED)["ap"].as_json()


def equal(a: Floats, b: Floats) -> float:
    """Which share of the rows are the same number; the book's means come out of running sums of floats."""
    return round(float(np.isclose(a, b, rtol=1e-6, atol=1e-6).mean()), 5)


def within_a_tile(t: Transactions, mine: Floats2d) -> bool:
    """Whether each count lies between those of the window and of the window less its oldest tile."""
    holds = True
    for place, window in enumerate(WINDOWS):
        days = window.reach_ms / DAY_MS
        tile = window.tile_ms / DAY_MS
        most, least = (handbook.count_within(t.customer, t.at_s, back) for back in (days, days - tile))
        holds &= bool(((least <= mine[:, 2 * place]) & (mine[:, 2 * place] <= most)).all())
        late = handbook.DELAY_DAYS
        far = [handbook.count_within(t.terminal, t.at_s, late + back) for back in (days, days - tile)]
        near = [handbook.count_within(t.terminal, t.at_s, back) for back in (late, late - tile)]
        count = mine[:, 6 + 2 * place]
        holds &= bool(((far[1] - near[0] <= count) & (count <= far[0] - near[1])).all())
    return holds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("HEADRACE_DATA"))
    parser.add_argument("--no-figure", action="store_true")
    a = parser.parse_args()
    if a.data is None:
        parser.error("give the folder of the recorded data: --data DIR or HEADRACE_DATA")
    path = handbook.path_in(a.data)
    t = handbook.around(handbook.read(path))
    book = handbook.own_features(t)
    rows: dict[str, Any] = {"book": {"ap": average_precision(t, book)}}
    seen = t.day >= t.day[0] + handbook.WARM_DAYS
    for keep in KEEPS:
        mine = ours(t, keep)
        ap = average_precision(t, np.column_stack((book[:, :3], mine)))
        same = {name: equal(mine[seen, i], book[seen, 3 + i]) for i, name in enumerate(COLUMNS)}
        lost = round(rows["book"]["ap"]["value"] - ap["value"], 4)
        rows[f"keep {keep}"] = {"ap": ap, "ap_lost": lost, "equal": same, "within_a_tile": within_a_tile(t, mine)}
        print(f"keep {keep}: AP {ap['value']} (lost {lost}), equal {same}, within a tile {within_a_tile(t, mine)}")
    holds = all(row["within_a_tile"] and row["ap_lost"] <= MOST_LOST for name, row in rows.items() if name != "book")
    holds &= all(value == 1.0 for value in rows[f"keep {KEEPS[-1]}"]["equal"].values())
    if not a.no_figure:
        target = {"ap_lost": MOST_LOST, "within_a_tile": True, f"equal at keep {KEEPS[-1]}": 1.0}
        command, data = "python -m bench.handbook_windows --data DIR", handbook.data_hash(path)
        print(figure.write("handbook-windows", value=rows, target=target, command=command, data_hash=data, holds=holds))


if __name__ == "__main__":
    main()
