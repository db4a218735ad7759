"""What is kept of the decisions, and what is refused to be judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from archive.arrow import pa, parquet
from bench.handbook.fitting import Fitted
from bench.handbook.ground import Ground
from bench.handbook.run import BOOK, Days, consume, judge
from schemas.deployments import Ref
from training import handbook

START_MS = 1_522_540_800_000  # 2018-04-01
FITTED = Fitted(Ref("handbook-boosted", "1", "hash"), {})


def decision(number: int, time: str, score: float = 0.5, model: str = "handbook-boosted") -> bytes:
    told = {"order_id": f"fh-{number}", "event_time": time, "score": score, "model": {"name": model, "version": "1"}}
    return json.dumps(told).encode() + b"\n"


class Heard:
    """A ground on which `headrace consume fraud` gives these lines."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines

    def lines(self, *words: str) -> Iterator[bytes]:
        assert words[:2] == ("consume", "fraud")
        yield from self._lines


def kept(lines: list[bytes], out: Path) -> list[bytes]:
    consume(cast(Ground, Heard(lines)), BOOK, out)
    return out.read_bytes().splitlines(keepends=True)


def test_of_the_test_days_every_decision_is_kept_once_as_it_came(tmp_path: Path) -> None:
    first, last = decision(1, "2018-08-08T00:00:00.000Z"), decision(2, "2018-08-14T23:59:59.999Z")
    others = [decision(3, "2018-08-07T23:59:59.999Z"), decision(4, "2018-08-15T00:00:00.000Z")]
    assert kept([others[0], first, first, last, others[1]], tmp_path / "fraud.ndjson") == [first, last]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ten transactions a day, each of a customer of its own; the first of each day is a fraud."""
    days, a_day = 150, 10
    number = np.arange(days * a_day)
    at_s = number // a_day * 86_400 + number % a_day * 3_600
    columns = {
        "TRANSACTION_ID": number,
        "TX_DATETIME": pa.array(START_MS + at_s * 1000, pa.timestamp("ms")),
        "TX_TIME_SECONDS": at_s,
        "CUSTOMER_ID": number,
        "TERMINAL_ID": number % 7,
        "TX_AMOUNT": np.full(len(number), 10.0),
        "TX_FRAUD": (number % a_day == 0).astype(np.int64),
    }
    (tmp_path / "fraud-handbook").mkdir()
    parquet.write_table(pa.table(columns), tmp_path / handbook.FILE)
    return tmp_path


def decided(data: Path, days: Days, **more: Any) -> Path:
    t = handbook.read(handbook.path_in(data))
    test = t.rows((t.day >= handbook.day_of(days.cut)) & (t.day < handbook.day_of(days.end)))
    times = [str(np.datetime64(int(at), "ms")) + "Z" for at in test.at_ms]
    rows = zip(test.id.tolist(), times, test.fraud.tolist(), strict=True)
    lines = [decision(number, time, 0.9 if fraud else 0.1, **more) for number, time, fraud in rows]
    (data / "fraud.ndjson").write_bytes(b"".join(lines))
    return data / "fraud.ndjson"


def test_scores_that_know_the_frauds_find_all_of_them(data: Path) -> None:
    found = judge(data, BOOK, decided(data, BOOK), FITTED)
    assert (found["orders"], found["frauds"]) == (70, 7)
    assert found["auc"]["value"] == found["ap"]["value"] == 1.0


def test_a_decision_of_another_model_is_not_judged(data: Path) -> None:
    with pytest.raises(ValueError, match=r"decided by .*shop-logistic/1"):
        judge(data, BOOK, decided(data, BOOK, model="shop-logistic"), FITTED)


def test_a_transaction_without_a_decision_is_missed(data: Path) -> None:
    decisions = decided(data, BOOK)
    decisions.write_bytes(b"".join(decisions.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(ValueError, match="1 transactions of the test have no decision"):
        judge(data, BOOK, decisions, FITTED)
