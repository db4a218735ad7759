"""Somebody's own definitions file: own input topic, own features, own score, own output records, no code of ours."""

from __future__ import annotations

from pathlib import Path

import orjson
from aiokafka.admin import NewTopic  # type: ignore[import-untyped]  # it ships no types

from streams.data.record import Record
from tests.support.events import START_MS
from tests.support.worker import Stream, until

DEFINITIONS = '''
"""Payments by account: how many and how much within an hour."""

import msgspec
import numpy as np

from features.columns import Columns
from features.definitions import Definitions, Flow, Outputs
from features.feature import RECENCY, Count, Sum, each
from features.group import Group
from features.vector import Vector
from features.window import Window
from schemas.decode import Decoded, Fault, Reason

HOUR = Window("1h", 300_000, 12)
ACCOUNT = Group("account", 1, "account", (*each((HOUR,), Count(), Sum()), *RECENCY))


class Payment(msgspec.Struct):
    id: str
    account: str
    cents: int
    at: int


read = msgspec.json.Decoder(Payment).decode


def decode(values):
    events, faults = [], {}
    for place, value in enumerate(values):
        try:
            events.append(read(value or b""))
        except msgspec.MsgspecError as error:
            events.append(None)
            faults[place] = Fault(Reason.WRONG_TYPE, "$", str(error))
    return Decoded(events, faults, np.array([event.at if event else 0 for event in events], np.int64))


def columns(events, at_ms):
    cents = np.array([event.cents for event in events], np.int64)
    ids = {"account": [event.account for event in events]}
    return Columns(len(events), at_ms, cents, np.zeros(len(events), np.int64), ids, {}, events)


def outputs(scored):
    lines = [
        msgspec.json.encode({"id": event.id, "count": row[0], "sum": row[1], "score": score})
        for event, row, score in zip(scored.columns.events, scored.rows.tolist(), scored.scores.tolist(), strict=True)
    ]
    return [Outputs("risk", np.arange(len(lines)), scored.keys, lines)]


names = ("count_1h", "sum_1h")
vector = Vector(names, (ACCOUNT,), lambda columns, folded: list(folded["account"].T[:2]))
payments = Flow("payments", decode, lambda events: [event.id for event in events], columns, (ACCOUNT,), True, outputs)
definitions = Definitions((payments,), vector, score=lambda rows: np.minimum(rows[:, 0] / 10, 1.0))
'''


def payment(n: int, account: str, cents: int) -> Record:
    body = {"id": f"p{n}", "account": account, "cents": cents, "at": START_MS + 60_000 * n, "unknown": True}
    return Record("payments", account.encode(), orjson.dumps(body), (), START_MS + 60_000 * n)


async def test_a_definitions_file_makes_a_stream_of_its_own(embedded_stream: Stream, tmp_path: Path) -> None:
    stream = embedded_stream
    file = tmp_path / "payments.py"
    file.write_text(DEFINITIONS)
    stream.environment["FEATURES"] = str(file)
    refused = stream.worker()
    assert await refused.ended() == 2
    assert "payments" in refused.said
    assert "headrace topics create" in refused.said
    code, told, errors = await stream.command("topics", "create")
    assert code == 0, errors
    assert {"payments", "payments.dlq"} <= {line.split()[0] for line in told.splitlines()}
    async with stream.cluster.admin() as admin:
        await admin.create_topics([NewTopic("risk", stream.partitions, 1)])

    bad = Record("payments", b"a", b'{"id": 3}', (), START_MS)
    await stream.send(payment(0, "a", 100), payment(1, "b", 50), bad, payment(2, "a", 200), payment(0, "a", 100))
    worker = stream.worker()

    async def all_out() -> bool:
        return len(await stream.read("risk")) == 3

    await until(all_out, 40.0, lambda: worker.said)
    found = {one["id"]: one for one in [orjson.loads(record.value or b"") for record in await stream.read("risk")]}
    assert found["p0"] == {"id": "p0", "count": 1.0, "sum": 100.0, "score": 0.1}
    assert found["p2"] == {"id": "p2", "count": 2.0, "sum": 300.0, "score": 0.2}
    assert found["p1"]["sum"] == 50.0
    (letter,) = await stream.read("payments.dlq")
    assert letter.value == bad.value
    code, told, errors = await stream.command("audit", "--json")
    assert code == 0, errors + told
    report = orjson.loads(told)
    assert (report["consumed"], report["duplicate"], report["dead"]) == (5, 1, 1)


async def test_a_definitions_file_that_cannot_be_used_is_told_in_one_line(
    embedded_stream: Stream, tmp_path: Path
) -> None:
    for content, why in (("x = (", "SyntaxError"), ("y = 1", "exports nothing as `definitions`")):
        file = tmp_path / "broken.py"
        file.write_text(content)
        worker = embedded_stream.worker(FEATURES=str(file))
        assert await worker.ended() == 2
        assert f"definitions {file}" in worker.said
        assert why in worker.said
        assert "Traceback" not in worker.said
        code, _, errors = await embedded_stream.command("topics", "create", FEATURES=str(file))
        assert (code, errors.count("\n")) == (2, 1), errors
