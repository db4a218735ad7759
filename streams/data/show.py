"""How a record is shown: NDJSON for programs, colours for people.

A value that is JSON goes through byte for byte (only line ends within it become spaces, which JSON allows anywhere
outside a string and forbids inside one), so that `consume | produce` repeats it exactly, numbers and field order
included. What is no JSON is wrapped, in Base64 where it is no text either: a line is always one JSON value.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import orjson
from rich.console import Group, RenderableType
from rich.json import JSON
from rich.text import Text

from schemas.timestamps import rfc3339
from streams.data.consume import Read

ACTION_STYLES = {b'"action":"block"': "bold red", b'"action":"review"': "yellow", b'"action":"allow"': "green"}


def line(record: Read, *, headers: bool) -> bytes:
    """One line of NDJSON without its end: the value, or with `headers` all that the record is."""
    value = _value(record.value)
    if not headers:
        return value
    envelope = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": when(record.timestamp),
        "key": plain(record.key),
        "headers": header_table(record.headers),
        "value": orjson.Fragment(value),
    }
    return orjson.dumps(envelope)


def header_table(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, Any]:
    """Headers by name; one that is there several times as a list."""
    table: dict[str, Any] = {}
    repeated: set[str] = set()
    for name, raw in headers:
        shown = plain(raw)
        if name not in table:
            table[name] = shown
        else:
            table[name] = [*(table[name] if name in repeated else [table[name]]), shown]
            repeated.add(name)
    return table


def when(timestamp_ms: int) -> str | None:
    """A record's timestamp as text; None where it has none."""
    return rfc3339(timestamp_ms) if timestamp_ms >= 0 else None


def plain(raw: bytes | None) -> Any:
    """Bytes as text where they are UTF-8, else as `{"base64": ...}`."""
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(raw).decode()}


def _value(raw: bytes | None) -> bytes:
    if raw is None:
        return b"null"
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        text = plain(raw)
        return orjson.dumps(text if isinstance(text, dict) else {"text": text})
    return raw.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in raw or b"\r" in raw else raw


def pretty(record: Read, *, headers: bool) -> RenderableType:
    """For a terminal: where and when in one dim line, the value indented and coloured."""
    raw = record.value
    style = next((style for mark, style in ACTION_STYLES.items() if raw and mark in raw), "cyan")
    head = Text.assemble(
        (f"{record.topic}/{record.partition}@{record.offset}", style),
        (f"  {when(record.timestamp) or '-'}  key {plain(record.key)}", "dim"),
    )
    parts: list[RenderableType] = [head]
    if headers:
        parts += [Text(f"  {name}: {plain(value)}", style="dim") for name, value in record.headers]
    return Group(*parts, pretty_value(raw))


def pretty_value(raw: bytes | None) -> RenderableType:
    """A value for a terminal: JSON indented and coloured, anything else as text."""
    try:
        return JSON.from_data(orjson.loads(raw or b"null"))
    except (orjson.JSONDecodeError, ValueError):
        return Text(str(plain(raw)), style="red")
