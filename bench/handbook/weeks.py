"""Which days a model learns from and which it is judged on: the book's week, and everything labelled before the cut.

Both are judged on the book's rows: a week, without the cards that are known as compromised. Hyper-parameters and
columns are chosen on weeks that end before the first test day and whose frauds are known by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from archive.arrow import parquet
from bench.handbook.table import TOLD
from features.columns import Floats2d
from training import handbook
from training.handbook import Split, Transactions

GAP: Final = np.timedelta64(handbook.TRAIN_DAYS + handbook.DELAY_DAYS, "D")
TESTS: Final = ("2018-08-08", "2018-08-22", "2018-09-05", "2018-09-19")
CHOOSING: Final = ("2018-07-04", "2018-07-11", "2018-07-18", "2018-07-25")  # weeks of validation, all known by TESTS[0]
SINCE: Final = "2018-06-15"  # vectors before have windows that are not full


@dataclass(frozen=True)
class Table:
    """What `python -m bench.handbook table` wrote; columns that never vary are left out."""

    transactions: Transactions
    x: Floats2d  # (n, d)
    names: tuple[str, ...]
    about: Mapping[str, str]

    def columns(self, names: tuple[str, ...]) -> Floats2d:
        """(n, len(names))"""
        return self.x[:, [self.names.index(name) for name in names]]


def read(path: Path) -> Table:
    """All rows of the file."""
    file = parquet.ParquetFile(path)
    told = file.read(columns=list(TOLD))
    column = {name: told.column(name).to_numpy() for name in TOLD}
    names = [name for name in file.schema_arrow.names if name not in TOLD]
    found = {name: file.read(columns=[name]).column(0).to_numpy() for name in names}
    varying = tuple(name for name in names if found[name].min() < found[name].max())
    x = np.empty((len(told), len(varying)), order="F")
    for place, name in enumerate(varying):
        x[:, place] = found.pop(name)
    about = {key.decode(): value.decode() for key, value in file.schema_arrow.metadata.items()}
    start_ms = int(np.datetime64(handbook.EPOCH_DAY, "ms").astype(np.int64))
    transactions = Transactions(
        id=column["transaction"],
        at_s=(column["at_ms"] - start_ms) // 1000,
        customer=column["customer"],
        terminal=column["terminal"],
        amount=column["amount"],
        fraud=column["fraud"],
    )
    return Table(transactions, x, varying, about)


def week(t: Transactions, test: str) -> Split:
    """A week of training, a week for its labels, and the week of test that begins at `test`."""
    return handbook.split(t, train_from=str(np.datetime64(test) - GAP))


def everything(t: Transactions, test: str, since: str = SINCE) -> Split:
    """The same test; learnt from all that was known at its beginning, but for what was before `since`."""
    known = handbook.day_of(test) - handbook.DELAY_DAYS
    train = np.flatnonzero((t.day >= handbook.day_of(since)) & (t.day < known))
    return Split(train, week(t, test).test)
