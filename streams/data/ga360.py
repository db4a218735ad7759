"""The Google Merchandise Store's product events as clicks, views, carts, checkouts and purchases.

Rows of one hit are one event with several items. What the export gets wrong is not carried over: a quantity of 0 means
that none was recorded, so none is sent; checkout lines hold the line's total where the price should be, and that with
its thousands cut off ("1,049.70" as 1.049), so they are sent without a price. A purchase is the lines of its
transaction that have a quantity, each product once: a reloaded receipt repeats them. A quantity no shop can
mean (10^16 in five rows) is sent as it is and becomes a dead letter, which is what real data is for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from schemas.timestamps import rfc3339
from streams.data.dataset import DataError, Window, data_file, parquet, record_of
from streams.data.record import Record

FILE = "ga360-merch/events.parquet"
SOURCE = "/headrace/replay/ga360"
ROWS = 20_000
NOT_SET = "(not set)"
PURCHASE = "transaction"
# event -> topic and type in GA4's words
EVENTS = {
    "click": ("clickstream", "select_item"),
    "view": ("clickstream", "view_item"),
    "addtocart": ("cart", "add_to_cart"),
    "removefromcart": ("cart", "remove_from_cart"),
    "checkout": ("cart", "begin_checkout"),
}
COLUMNS = (
    *("ts_ms", "user_id", "session_id", "hit_number", "event", "product_sku", "product_name", "product_category"),
    *("product_price", "quantity", "transaction_id", "country"),
)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ga360:
    """The data set in a folder."""

    path: Path
    name: str = "ga360"
    topics: tuple[str, ...] = ("clickstream", "cart", "orders")

    @classmethod
    def under(cls, folder: Path | None) -> Ga360:
        """The data set under a data folder; raises DataError where it is absent."""
        return cls(data_file(folder, FILE))

    @property
    def span_ms(self) -> tuple[int, int] | None:
        """From the statistics of the file: nothing is read."""
        file = parquet().ParquetFile(self.path)
        at = file.schema_arrow.get_field_index("ts_ms")
        groups = [file.metadata.row_group(n).column(at).statistics for n in range(file.num_row_groups)]
        if not groups or any(group is None or not group.has_min_max for group in groups):
            return None
        return min(group.min for group in groups), max(group.max for group in groups)

    def records(self, window: Window) -> Iterator[Record]:
        """The events of the window; a purchase comes with its first line."""
        receipts = self._receipts()
        for at_ms, rows in groupby(self._rows(window), key=lambda row: int(row["ts_ms"])):
            for hit in _hits(rows):
                if hit[0]["event"] != PURCHASE:
                    yield _event(hit, at_ms)
                elif lines := receipts.pop(hit[0]["transaction_id"], None):
                    yield _purchase(lines, at_ms)

    def _rows(self, window: Window) -> Iterator[Row]:
        last_ms = -(2**62)
        for batch in parquet().ParquetFile(self.path).iter_batches(ROWS, columns=list(COLUMNS)):
            for row in batch.to_pylist():
                if row["ts_ms"] < last_ms:
                    raise DataError(
                        f"{self.path}: hit at {row['ts_ms']} is earlier than the one before: want them by time"
                    )
                last_ms = row["ts_ms"]
                if window.holds(last_ms):
                    yield row

    def _receipts(self) -> dict[str, list[Row]]:
        """The lines of every transaction, of the whole file: 9,535 rows."""
        lines: dict[str, dict[str, Row]] = defaultdict(dict)
        bought = [("event", "==", PURCHASE), ("quantity", ">", 0)]
        for row in parquet().read_table(self.path, columns=list(COLUMNS), filters=bought).to_pylist():
            lines[row["transaction_id"]].setdefault(row["product_sku"], row)
        return {transaction: list(of.values()) for transaction, of in lines.items()}


def _hits(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows of one moment, by hit."""
    hits: dict[tuple[str, int, str], list[Row]] = defaultdict(list)
    for row in rows:
        hits[row["session_id"], row["hit_number"], row["event"]].append(row)
    yield from hits.values()


def _event(hit: list[Row], at_ms: int) -> Record:
    head = hit[0]
    topic, type_ = EVENTS[head["event"]]
    event: dict[str, Any] = {
        "type": type_,
        "event_id": f"ga-{head['session_id']}-{head['hit_number']}-{head['event']}",
        **_common(head, at_ms),
        "currency": "USD",
        "items": [_item(row, priced=type_ != "begin_checkout") for row in hit],
    }
    if topic == "clickstream":
        event["country"] = head["country"]
    return record_of(topic, event, at_ms, SOURCE)


def _purchase(lines: list[Row], at_ms: int) -> Record:
    head = lines[0]
    event = {
        "type": "purchase",
        "event_id": f"ga-{head['transaction_id']}",
        **_common(head, at_ms),
        "order_id": head["transaction_id"],
        "value": round(sum(row["product_price"] * row["quantity"] for row in lines), 2),
        "currency": "USD",
        "items": [_item(row, priced=True) for row in lines],
        "merchant_id": "google-merchandise-store",
        "billing_country": head["country"],
    }
    return record_of("orders", event, at_ms, SOURCE)


def _common(row: Row, at_ms: int) -> dict[str, str]:
    return {"event_time": rfc3339(at_ms), "user_id": row["user_id"], "session_id": row["session_id"]}


def _item(row: Row, *, priced: bool) -> dict[str, Any]:
    item = {"item_id": row["product_sku"], "item_name": row["product_name"]}
    if row["product_category"] != NOT_SET:
        item["item_category"] = row["product_category"]
    if priced and row["product_price"]:
        item["price"] = row["product_price"]
    if row["quantity"]:
        item["quantity"] = row["quantity"]
    return item
