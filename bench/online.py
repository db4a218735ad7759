"""Online models on the Fraud Handbook, labels seven days late: each case scored when it comes, learned when it is due.

    python -m bench.online --data DIR [--table FILE] [--jobs 2]        writes docs/figures/online-handbook.json

One pass over half a year of the shop's own vectors (bench/handbook/table.py; FILE is such a table of all days, made
anew where none is given) for each model. Judged are the book's test week and three more, each without the cards whose
frauds were known (training/handbook.py). Settings and COLUMNS were chosen on WATCHED, the four weeks before them.
Beside it: what a delay of 0 would have shown, and labels that were shuffled, which nobody can find.

The price: learning is Python, five to twenty minutes a pass; snapshots are an hour old at most, in a shop ten minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import figure
from schemas.timestamps import epoch_ms
from training import handbook
from training.labelled import Asked, Table, cases_of, read, shuffled
from training.metrics import Bools
from training.online.learner import learner_of
from training.prequential import DAY_MS, Cases, Judged, judge, prequential

WEEKS: Final = ("2018-08-08", "2018-08-22", "2018-09-05", "2018-09-19")
WATCHED: Final = ("2018-07-11", "2018-08-08")  # from, before
FIRST_DAY: Final = "2018-04-01"
DELAY_DAYS: Final = handbook.DELAY_DAYS
REFRESH_MS: Final = 3_600_000
SEED: Final = 7
COLUMNS: Final = (
    "order_amount",
    *(f"user_{what}_{window}" for what in ("count", "sum", "mean", "max", "spread") for window in ("24h", "7d", "30d")),
    "user_vs_usual_30d", "user_outlying_30d",
    "user_order_to_mean_30d", "user_order_to_max_30d",
    "user_mean_7d_to_mean_30d", "user_max_7d_to_mean_30d", "user_max_24h_to_mean_30d",
    "merchant_count_7d", "merchant_count_30d",
    "merchant_risk_1d", "merchant_risk_7d", "merchant_risk_30d", "merchant_known_frauds_30d",
    "merchant_days_since_last_fraud_30d", "merchant_days_since_first_fraud_30d", "merchant_fraud_streak_4w",
)  # fmt: skip
LINE_LACKS: Final = {"user_outlying_30d", "merchant_count_7d", "merchant_count_30d"}  # a line learns nothing from these
LEAST_AP: Final = {"adaptive_forest": 0.72, "online_logistic": 0.68}  # in the book's week
NO_SKILL: Final = (0.47, 0.53)  # AUC where labels were shuffled


@dataclass(frozen=True, slots=True)
class Pass:
    """A model over the table."""

    kind: str
    delay_days: int = DELAY_DAYS
    shuffle: bool = False
    until: str = "2018-09-26"

    @property
    def honest(self) -> bool:
        return self.delay_days == DELAY_DAYS and not self.shuffle

    @property
    def columns(self) -> list[str]:
        lacks = LINE_LACKS if self.kind == "online_logistic" else set()
        return [name for name in COLUMNS if name not in lacks]

    @property
    def name(self) -> str:
        return f"{self.kind}, {'labels shuffled' if self.shuffle else f'{self.delay_days} days late'}"


PASSES: Final = (
    Pass("adaptive_forest"),
    Pass("online_logistic"),
    Pass("online_logistic", delay_days=0, until="2018-08-15"),
    Pass("adaptive_forest", delay_days=0, until="2018-08-15"),
    Pass("online_logistic", shuffle=True, until="2018-08-15"),
    Pass("adaptive_forest", shuffle=True, until="2018-08-15"),
    Pass("half_space", until="2018-08-15"),
)


def run(one: Pass, path: Path, weeks: Mapping[str, list[int]]) -> tuple[Pass, dict[str, Any]]:
    """What a model did in each week that was judged; `weeks` are transactions."""
    table = read(path, Asked("at_ms", "transaction", "fraud", "customer", one.columns))
    ids = np.unique(read_ids(path))
    table = shuffled(table, SEED) if one.shuffle else table
    periods = {"watched": (table.at_ms >= _ms(WATCHED[0])) & (table.at_ms < _ms(WATCHED[1]))} if one.honest else {}
    periods |= {week: np.isin(ids[table.id], numbers) for week, numbers in weeks.items() if week < one.until}
    made, began = learner_of(one.kind), time.process_time()
    learner = made(table.names, seed=SEED)
    cases = _before(table, one, np.logical_or.reduce(list(periods.values())))
    judged = prequential(cases, learner, refresh_ms=REFRESH_MS, seed=SEED)
    keep = table.at_ms < _ms(one.until)
    found = {name: _metrics(cases, judged, period[keep]) for name, period in periods.items()}
    cost = {"learned": judged.learned, "frauds": judged.frauds, "cpu_s": round(time.process_time() - began)}
    return one, {"periods": found, **cost}


def read_ids(path: Path) -> Any:
    """Transactions as the table has them."""
    from archive.arrow import parquet

    return parquet.read_table(str(path), columns=["transaction"])["transaction"].to_numpy()


def _before(table: Table, one: Pass, counts: Bools) -> Cases:
    cases = replace(cases_of(table, one.delay_days * DAY_MS), judged=counts)
    keep = table.at_ms < _ms(one.until)
    return Cases(**{name: getattr(cases, name)[keep] for name in Cases.__dataclass_fields__})


def _metrics(cases: Cases, judged: Judged, period: Bools) -> dict[str, Any]:
    rows = replace(cases, judged=period)
    return {name: one.as_json() for name, one in judge(rows, judged.score, SEED).items()}


def weeks_of(data: Path) -> dict[str, list[int]]:
    """The transactions of each test week, by the book's protocol."""
    transactions = handbook.read(handbook.path_in(data))
    found = {}
    for week in WEEKS:
        start = np.datetime64(week) - np.timedelta64(handbook.TRAIN_DAYS + handbook.DELAY_DAYS, "D")
        split = handbook.split(transactions, train_from=str(start))
        found[week] = transactions.id[split.test].tolist()
    return found


def _ms(date: str) -> int:
    return int(epoch_ms([f"{date}T00:00:00Z"])[0][0])


def holds(value: Mapping[str, Any]) -> bool:
    """Whether the figure meets its target."""
    book = {name: of["periods"][WEEKS[0]] for name, of in value.items()}
    late = {kind: book[Pass(kind).name] for kind in LEAST_AP}
    soon = {kind: book[Pass(kind, delay_days=0).name] for kind in LEAST_AP}
    unskilled = [book[Pass(kind, shuffle=True).name]["auc"]["value"] for kind in LEAST_AP]
    return (
        all(late[kind]["ap"]["value"] >= least for kind, least in LEAST_AP.items())
        and all(late[kind] != soon[kind] for kind in LEAST_AP)
        and all(NO_SKILL[0] <= auc <= NO_SKILL[1] for auc in unskilled)
    )


def measure(data: Path, table: Path, jobs: int) -> None:
    weeks = weeks_of(data)
    value = dict[str, Any]()
    with ProcessPoolExecutor(jobs) as pool:
        for one, found in pool.map(run, PASSES, [table] * len(PASSES), [weeks] * len(PASSES)):
            value[one.name] = found
            print(one.name, {week: of["ap"]["value"] for week, of in found["periods"].items()}, flush=True)
    path = figure.write(
        "online-handbook",
        value=value,
        target=f"book's week: AP {LEAST_AP}; a delay of 0 differs; shuffled labels: AUC {NO_SKILL[0]} to {NO_SKILL[1]}",
        command="python -m bench.online --data DIR",
        data_hash=handbook.data_hash(handbook.path_in(data)),
        holds=holds(value),
        columns={kind: Pass(kind).columns for kind in LEAST_AP},
        refresh_s=REFRESH_MS // 1000,
        learned_from=FIRST_DAY,
    )
    print(f"{path}: {'holds' if holds(value) else 'DOES NOT hold'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("HEADRACE_DATA"))
    parser.add_argument("--table", type=Path, help="python -m bench.handbook table --keep 2018-04-01 --out FILE")
    parser.add_argument("--jobs", type=int, default=2)
    a = parser.parse_args()
    if a.data is None:
        parser.error("give the folder of the recorded data: --data DIR or HEADRACE_DATA")
    if a.table is not None:
        measure(a.data, a.table, a.jobs)
        return
    with tempfile.TemporaryDirectory(prefix="headrace-online-") as folder:
        table = Path(folder) / "table.parquet"
        words = ("table", "--keep", FIRST_DAY, "--out", str(table))
        subprocess.run([sys.executable, "-m", "bench.handbook", "--data", str(a.data), *words], check=True)
        measure(a.data, table, a.jobs)


if __name__ == "__main__":
    main()
