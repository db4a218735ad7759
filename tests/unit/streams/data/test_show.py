"""A record as a line: always one JSON value, and JSON values byte for byte."""

from dataclasses import dataclass

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from streams.data.show import line, pretty


@dataclass(frozen=True)
class Rec:
    value: bytes | None
    key: bytes | None = b"u1"
    headers: tuple[tuple[str, bytes | None], ...] = ()
    topic: str = "orders"
    partition: int = 1
    offset: int = 17
    timestamp: int = 1_768_480_496_789


@pytest.mark.parametrize("value", [b'{"b":1.0,"a":10000000000000000001}', b'{"x": "\xc3\xa9"}', b"[]", b"17"])
def test_json_passes_byte_for_byte(value: bytes) -> None:
    assert line(Rec(value), headers=False) == value


def test_line_ends_within_json_become_spaces() -> None:
    assert line(Rec(b'{\r\n  "a": "x\\ny"\n}'), headers=False) == b'{    "a": "x\\ny" }'


@given(st.binary() | st.none(), st.binary(max_size=20) | st.none(), st.booleans())
def test_any_bytes_make_one_line_of_json(value: bytes | None, key: bytes | None, headers: bool) -> None:
    shown = line(Rec(value, key, (("h", value), ("h", None))), headers=headers)
    assert b"\n" not in shown
    orjson.loads(shown)


def test_headers_show_all_that_a_record_is() -> None:
    shown = orjson.loads(line(Rec(b'{"a":1}', b"\xff", (("h", b"1"), ("g", b"2"), ("h", b"3"))), headers=True))
    assert shown == {
        "topic": "orders",
        "partition": 1,
        "offset": 17,
        "timestamp": "2026-01-15T12:34:56.789Z",
        "key": {"base64": "/w=="},
        "headers": {"h": ["1", "3"], "g": "2"},
        "value": {"a": 1},
    }


def test_a_terminal_shows_where_when_and_what() -> None:
    console = Console(width=120)
    with console.capture() as shown:
        console.print(pretty(Rec(b'{"action":"block"}', headers=(("dlq-reason", b"not_json"),)), headers=True))
        console.print(pretty(Rec(b"\xff\xfe"), headers=False))
    assert "orders/1@17" in shown.get()
    assert '"action": "block"' in shown.get()
    assert "dlq-reason: not_json" in shown.get()
    assert "base64" in shown.get()
