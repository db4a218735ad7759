"""The Fraud Detection Handbook's card transactions as orders, and its frauds as chargebacks seven days later.

Customer -> user, terminal -> merchant. The customer's one card is a token of its own, so that card features have
something to count. An order's id is `fh-<TRANSACTION_ID>`. A transaction has an amount and no goods: one item stands
for it. Amounts carry no currency in the data; they are euros here, the base currency, so they pass unchanged.
The label delay is the Handbook's own protocol: a card is known as compromised a week after its fraud.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.timestamps import rfc3339
from streams.data.dataset import DataError, Window, data_file, parquet, record_of
from streams.data.record import Record

FILE = "fraud-handbook/transactions_raw.parquet"
COLUMNS = ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD")
LABEL_DELAY_MS = 7 * 86_400_000
SOURCE = "/headrace/replay/fraud-handbook"
ROWS = 20_000
Row = tuple[int, int, int, int, float, int]  # id, epoch ms, customer, terminal, amount, fraud


@dataclass(frozen=True, slots=True)
class Handbook:
    """The data set in a folder."""

    path: Path
    name: str = "fraud-handbook"
    topics: tuple[str, ...] = ("orders", "labels")

    @classmethod
    def under(cls, folder: Path | None) -> Handbook:
        """The data set under a data folder; raises DataError where it is absent."""
        return cls(data_file(folder, FILE))

    @property
    def span_ms(self) -> tuple[int, int] | None:
        """From the statistics of the file: nothing is read. Labels come later than the last transaction."""
        file = parquet().ParquetFile(self.path)
        at = file.schema_arrow.get_field_index("TX_DATETIME")
        groups = [file.metadata.row_group(n).column(at).statistics for n in range(file.num_row_groups)]
        if not groups or any(group is None or not group.has_min_max for group in groups):
            return None
        return _ms(min(group.min for group in groups)), _ms(max(group.max for group in groups)) + LABEL_DELAY_MS

    def records(self, window: Window) -> Iterator[Record]:
        """Orders of the window, and the labels that are due within it, also of orders before it: so a replay that goes
        on where another ended sends what one would have sent.
        """
        due: deque[tuple[int, Row]] = deque()  # by time, since the delay is one for all
        for row in self._rows(Window(window.since_ms - LABEL_DELAY_MS, window.until_ms)):
            if window.holds(row[1]):
                while due and due[0][0] <= row[1]:
                    yield _label(*due.popleft())
                yield _order(row)
            if row[5] and window.holds(row[1] + LABEL_DELAY_MS):
                due.append((row[1] + LABEL_DELAY_MS, row))
        while due:
            yield _label(*due.popleft())

    def _rows(self, window: Window) -> Iterator[Row]:
        last_ms = -(2**62)
        for batch in parquet().ParquetFile(self.path).iter_batches(ROWS, columns=list(COLUMNS)):
            at_ms = batch.column("TX_DATETIME").cast("timestamp[ms]", safe=False).cast("int64").to_pylist()
            others = [batch.column(name) for name in COLUMNS if name != "TX_DATETIME"]
            if at_ms[-1] < window.since_ms:
                continue
            ids, customers, terminals, amounts, frauds = (column.to_pylist() for column in others)
            for row in zip(ids, at_ms, customers, terminals, amounts, frauds, strict=True):
                if row[1] < last_ms:
                    raise DataError(
                        f"{self.path}: transaction {row[0]} is earlier than the one before: want them by time"
                    )
                last_ms = row[1]
                if window.holds(last_ms):
                    yield row
            if last_ms >= window.until_ms:
                return


def _ms(moment: Any) -> int:
    """A naive moment of the file (UTC) as epoch ms."""
    from datetime import UTC, datetime

    plain = moment if isinstance(moment, datetime) else moment.to_pydatetime()
    return round(plain.replace(tzinfo=UTC).timestamp() * 1000)


def _order(row: Row) -> Record:
    number, at_ms, customer, terminal, amount, _ = row
    event = {
        "type": "purchase",
        "event_id": f"fh-{number}",
        "event_time": rfc3339(at_ms),
        "user_id": f"fh-customer-{customer}",
        "order_id": f"fh-{number}",
        "value": amount,
        "currency": "EUR",
        "items": [{"item_id": f"fh-terminal-{terminal}", "price": amount, "quantity": 1}],
        "card_id": f"fh-card-{customer}",
        "merchant_id": f"fh-terminal-{terminal}",
        "payment_method": "card",
    }
    return record_of("orders", event, at_ms, SOURCE)


def _label(due_ms: int, row: Row) -> Record:
    number, _, customer, terminal, amount, _ = row
    event = {
        "type": "chargeback",
        "event_id": f"fh-{number}-fraud",
        "event_time": rfc3339(due_ms),
        "user_id": f"fh-customer-{customer}",
        "order_id": f"fh-{number}",
        "value": amount,
        "currency": "EUR",
        "card_id": f"fh-card-{customer}",
        "merchant_id": f"fh-terminal-{terminal}",
    }
    return record_of("labels", event, due_ms, SOURCE)
