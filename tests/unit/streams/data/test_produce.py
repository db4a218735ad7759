"""Lines to records: keyed, checked, reported by number."""

import asyncio
import os
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import orjson
import pytest

from streams.data.lines import pieces
from streams.data.produce import BadLine, Form, Produced, records_of
from streams.data.record import Record, key_of

AT_MS = 1_768_480_496_789


def order(**changes: object) -> bytes:
    event = {
        "type": "purchase",
        "event_id": "e1",
        "event_time": "2026-01-15T12:34:56.789Z",
        "user_id": "u1",
        "order_id": "o1",
        "value": 3.0,
        "currency": "EUR",
        "items": [{"item_id": "a", "price": 3.0, "quantity": 1}],
    }
    return orjson.dumps({**event, **changes})


def made(lines: list[bytes], form: Form) -> tuple[list[Record], list[BadLine], Produced]:
    bad: list[BadLine] = []
    done = Produced()
    return records_of(list(enumerate(lines, 1)), form, done, bad.append), bad, done


def test_a_good_line_travels_byte_for_byte_under_its_users_key() -> None:
    line = b'  {"extra": 1e3, ' + order()[1:] + b"  "
    (record,), bad, _ = made([line], Form("orders"))
    assert (record.topic, record.key, record.value, record.timestamp_ms) == ("orders", b"u1", line, None)
    assert not bad


def test_the_record_is_dated_by_its_event_where_asked() -> None:
    (record,), _, _ = made([order()], Form("orders", event_timestamps=True))
    assert record.timestamp_ms == AT_MS


def test_a_bad_line_is_told_by_number_reason_and_place_and_left_out() -> None:
    bad_quantity = order(items=[{"item_id": "a", "price": 1.0, "quantity": 0}])
    records, bad, done = made([order(), b"{", bad_quantity, order(event_id="e2")], Form("orders"))
    assert [(line.number, line.fault.reason, line.fault.path) for line in bad] == [
        (2, "not_json", "$"),
        (3, "out_of_range", "$.items[0].quantity"),
    ]
    assert str(bad[1]).startswith("line 3: out_of_range at $.items[0].quantity: ")
    assert len(records) == 2
    assert (done.bad, done.reasons) == (2, {"not_json": 1, "out_of_range": 1})


def test_raw_sends_bad_lines_as_they_stand_with_what_key_they_have() -> None:
    lines = [b"\xff", b"[]", b'{"user_id":"u9"}', order(currency="XXX")]
    records, bad, _ = made(lines, Form("orders", raw=True))
    assert [record.value for record in records] == lines
    assert [record.key for record in records] == [None, None, b"u9", b"u1"]
    assert [record.headers for record in records] == [(), (), (), ()]
    assert len(bad) == 4


def test_a_topic_that_is_no_input_takes_any_json_object() -> None:
    records, bad, _ = made([b'{"visitor_id":"v"}', b"17"], Form("mine"))
    assert [record.key for record in records] == [b"v"]
    assert [line.number for line in bad] == [2]


@pytest.mark.parametrize(
    ("event", "key"),
    [
        ({"user_id": "u", "visitor_id": "v"}, b"u"),
        ({"user_id": None, "visitor_id": "v\u00e9"}, "v\u00e9".encode()),
        ({"order_id": "o"}, b"o"),
        ({"user_id": 17}, None),
        ({"user_id": ""}, None),
    ],
)
def test_the_key_is_the_user_else_the_visitor_else_the_order(event: dict[str, object], key: bytes | None) -> None:
    assert key_of(event) == key


async def read(file: BinaryIO) -> list[list[bytes]]:
    return [lines async for lines in pieces(file)]


async def test_a_file_without_a_last_newline_keeps_its_last_line(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"a\n\nb\nc")
    with (tmp_path / "lines").open("rb") as file:
        assert await read(file) == [[b"a", b"", b"b"], [b"c"]]
    assert await read(BytesIO(b"a\nb\n")) == [[b"a", b"b"]]
    assert await read(BytesIO(b"")) == []


async def test_a_slow_pipe_gives_whole_lines_as_soon_as_they_are_there() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file:
        stream = pieces(file)
        os.write(writing, b"first\nsec")
        assert await anext(stream) == [b"first"]
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        os.write(writing, b"ond\n")
        assert await waiting == [b"second"]
        os.close(writing)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
