"""The Fraud Detection Handbook's transactions: reading them, its way of splitting them, and its own features.

Le Borgne, Siblini, Lebichot and Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection", 2022.
Simulated: 1.75 million card transactions of half a year, with three kinds of fraud (amounts over 220; a compromised
terminal for 28 days; a compromised card for 14 days whose amounts are five times as large).

The split is the book's: train on a week, let a week of labels arrive, test on the week after, and leave out of each
test day the cards whose fraud was known by then. Its features are here to reproduce its published figures, not to be
served: a terminal's risk is the share of its transactions that turned out to be frauds, known seven days late. The
price of the published protocol: one week, about 500 frauds; the intervals say how little that is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FILE: Final = "fraud-handbook/transactions_raw.parquet"
DAY_S: Final = 86_400
EPOCH_DAY: Final = "2018-04-01"  # day 0 of the file
TRAIN_FROM, TRAIN_DAYS, DELAY_DAYS, TEST_DAYS = "2018-07-25", 7, 7, 7
LONG_TEST_DAYS: Final = 28  # the book's week and three more: a week has too few frauds to compare two models
WARM_DAYS: Final = 38  # the book's terminal risk looks back 30 + 7 days from any time of a day
# Logistic regression in chapter 5 of the book, on this split.
PUBLISHED: Final = {"auc": 0.871, "ap": 0.606, "cp100": 0.291}
FEATURES: Final = (
    "amount",
    "weekend",
    "night",
    *(f"customer_{what}_{days}d" for days in (1, 7, 30) for what in ("count", "mean")),
    *(f"terminal_{what}_{days}d" for days in (1, 7, 30) for what in ("count", "risk")),
)


class NoDataError(ValueError):
    """The data is not there or is not what it should be; the message says where it was looked for."""


@dataclass(frozen=True)
class Transactions:
    """(n,) each, by time."""

    id: Ints
    at_s: Ints  # seconds since the start of day 0
    customer: Ints
    terminal: Ints
    amount: Floats  # in the major unit, two digits
    fraud: Bools

    @property
    def day(self) -> Ints:
        return self.at_s // DAY_S

    @property
    def at_ms(self) -> Ints:
        """Epoch ms."""
        return self.at_s * 1000 + int(np.datetime64(EPOCH_DAY, "ms").astype(np.int64))

    def rows(self, keep: Ints | Bools) -> Transactions:
        return Transactions(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of the transactions that a model learns from and is judged on."""

    train: Ints
    test: Ints


def path_in(data: Path) -> Path:
    """Where the file is in a data folder; raises NoDataError where it is not."""
    path = data / FILE
    if not path.is_file():
        raise NoDataError(f"{path}: no such file: give the folder that holds {FILE} with --data DIR or HEADRACE_DATA")
    return path


def read(path: Path) -> Transactions:
    """All transactions of the file. Needs pyarrow (the extra `history`)."""
    try:
        from pyarrow import parquet  # type: ignore[import-untyped]  # pyarrow ships no types
    except ImportError as error:
        raise NoDataError("reading Parquet needs pyarrow: pip install 'headrace[history]'") from error
    names = {"TRANSACTION_ID", "TX_TIME_SECONDS", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"}
    missing = names - set(parquet.read_schema(path).names)
    if missing:
        raise NoDataError(
            f"{path}: columns {', '.join(sorted(missing))} are missing: want the Handbook's raw transactions"
        )
    table = parquet.read_table(path, columns=sorted(names))
    column = {name: np.asarray(table[name].to_numpy()) for name in names}
    order = np.lexsort((column["TRANSACTION_ID"], column["TX_TIME_SECONDS"]))
    return Transactions(
        id=column["TRANSACTION_ID"][order],
        at_s=column["TX_TIME_SECONDS"][order],
        customer=column["CUSTOMER_ID"][order],
        terminal=column["TERMINAL_ID"][order],
        amount=column["TX_AMOUNT"][order],
        fraud=column["TX_FRAUD"][order].astype(np.bool_),
    )


def data_hash(path: Path) -> str:
    """SHA-256 of the file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def around(transactions: Transactions) -> Transactions:
    """The transactions that splits and their longest windows can see: from WARM_DAYS before training on."""
    day, start = transactions.day, day_of(TRAIN_FROM)
    end = start + TRAIN_DAYS + DELAY_DAYS + LONG_TEST_DAYS
    return transactions.rows(np.flatnonzero((day >= start - WARM_DAYS) & (day < end)))


def split(transactions: Transactions, test_days: int = TEST_DAYS, train_from: str = TRAIN_FROM) -> Split:
    """The book's week of training and its week of test, or more days of test, or the same from another day on."""
    day, start = transactions.day, day_of(train_from)
    train = np.flatnonzero((day >= start) & (day < start + TRAIN_DAYS))
    known = set(transactions.customer[train][transactions.fraud[train]].tolist())
    test = []
    for ahead in range(test_days):
        late = (day == start + TRAIN_DAYS + ahead - 1) & transactions.fraud
        known |= set(transactions.customer[late].tolist())
        today = np.flatnonzero(day == start + TRAIN_DAYS + DELAY_DAYS + ahead)
        test.append(today[~np.isin(transactions.customer[today], list(known))])
    return Split(train, np.concatenate(test))


def day_of(date: str) -> int:
    """`2018-07-25` -> its day in the file."""
    return int((np.datetime64(date, "D") - np.datetime64(EPOCH_DAY, "D")).astype(np.int64))


def own_features(transactions: Transactions) -> Floats:
    """(n, len(FEATURES)): the book's features, in the order of FEATURES."""
    t = transactions
    weekday = (np.datetime64(EPOCH_DAY, "D").astype(np.int64) + 3 + t.day) % 7  # 1970-01-01 was a Thursday, Monday is 0
    columns = [t.amount, weekday >= 5, t.at_s % DAY_S // 3600 <= 6]
    for days in (1, 7, 30):
        count, amount = _within(t.customer, t.at_s, [np.ones(len(t.id)), t.amount], days)
        columns += [count, amount / count]
    late_count, late_fraud = _within(t.terminal, t.at_s, [np.ones(len(t.id)), t.fraud], DELAY_DAYS)
    for days in (1, 7, 30):
        count, fraud = _within(t.terminal, t.at_s, [np.ones(len(t.id)), t.fraud], DELAY_DAYS + days)
        count, fraud = count - late_count, fraud - late_fraud
        columns += [count, np.divide(fraud, count, out=np.zeros_like(count), where=count > 0)]
    return np.column_stack(columns).astype(np.float64)


def count_within(owner: Ints, at_s: Ints, days: float) -> Floats:
    """(n,) how many rows each owner has in the `days` up to and including each row."""
    (count,) = _within(owner, at_s, [np.ones(len(owner))], days)
    return count


def _within(owner: Ints, at_s: Ints, values: list[npt.NDArray[np.generic]], days: float) -> list[Floats]:
    """Sums of each owner's values in the `days` up to and including each row; rows are by time, ties by place."""
    order = np.lexsort((at_s, owner))
    key = owner[order] * (1 << 32) + at_s[order]
    start = np.searchsorted(key, key - round(days * DAY_S), side="right")
    start = np.maximum(start, np.searchsorted(key, owner[order] * (1 << 32), side="left"))
    sums = []
    for value in values:
        total = np.concatenate([[0.0], np.cumsum(value[order].astype(np.float64))])
        found = np.empty(len(order))
        found[order] = total[1:] - total[start]
        sums.append(found)
    return sums
