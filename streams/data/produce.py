"""NDJSON lines to a topic: keyed like every record of the shop, checked by the topic's own decoder.

A bad line is reported with its number and refused; the others go on. With `raw` it is sent as it stands, to see what
becomes of it. The decoder is the one that workers use, so what passes here is not dead there for its form.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import orjson

from schemas.cloudevents import headers_of
from schemas.decode import Fault, Reason, decode_batch
from schemas.timestamps import epoch_ms
from schemas.topics import INPUTS
from streams.data.lines import pieces
from streams.data.record import Record, key_of
from streams.data.sender import Sender


@dataclass(frozen=True, slots=True)
class BadLine:
    """What is wrong with a line, counted from 1."""

    number: int
    fault: Fault

    def __str__(self) -> str:
        return f"line {self.number}: {self.fault.reason.value} at {self.fault.path}: {self.fault.detail}"


@dataclass(slots=True)
class Produced:
    """What became of the lines."""

    sent: int = 0
    bad: int = 0  # refused, or among `sent` where raw
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Form:
    """How lines become records."""

    topic: str
    raw: bool = False
    event_timestamps: bool = False  # the record's timestamp is the event's time; else the moment of sending
    source: str = "/headrace/produce"  # CloudEvents' ce_source


async def produce(file: BinaryIO, form: Form, sender: Sender, report: Callable[[BadLine], None]) -> Produced:
    """Sends every line of `file`; returns when the broker has them all. Empty lines are skipped."""
    done, number = Produced(), 0
    async for lines in pieces(file):
        numbered = [(number + at, line.rstrip(b"\r")) for at, line in enumerate(lines, 1) if line.strip()]
        number += len(lines)
        records = records_of(numbered, form, done, report)
        await sender.send(records)
        await sender.dispatch()  # a slow pipe's lines are not kept waiting for more
        done.sent += len(records)
    await sender.flush()
    return done


def records_of(
    numbered: Sequence[tuple[int, bytes]], form: Form, done: Produced, report: Callable[[BadLine], None]
) -> list[Record]:
    """The records of some lines; what is bad is counted in `done`, reported, and left out unless raw."""
    lines = [line for _, line in numbered]
    read = _read_input(form.topic, lines) if form.topic in INPUTS else _read_any(lines)
    for at in sorted(read.faults):
        fault = read.faults[at]
        done.bad += 1
        done.reasons[fault.reason.value] = done.reasons.get(fault.reason.value, 0) + 1
        report(BadLine(numbered[at][0], fault))
    kept = range(len(lines)) if form.raw else [at for at in range(len(lines)) if at not in read.faults]
    now_ms = round(time.time() * 1000)
    return [_record(lines[at], read, at, form, now_ms) for at in kept]


@dataclass(frozen=True, slots=True)
class _Read:
    """Some lines: their JSON where they are an object, their event times where known, and what is wrong with them."""

    objects: list[dict[str, Any] | None]
    at_ms: list[int]
    faults: dict[int, Fault]


def _read_input(topic: str, lines: Sequence[bytes]) -> _Read:
    decoded = decode_batch(topic, lines)
    return _Read([_object(line) for line in lines], decoded.at_ms.tolist(), decoded.faults)


def _read_any(lines: Sequence[bytes]) -> _Read:
    """Lines for a topic that is no input: they must be JSON objects, no more."""
    objects = [_object(line) for line in lines]
    times = [str(event.get("event_time")) if event is not None else "" for event in objects]
    no_object = Fault(Reason.NOT_JSON, "$", "want a JSON object")
    return _Read(
        objects, epoch_ms(times)[0].tolist(), {at: no_object for at, event in enumerate(objects) if event is None}
    )


def _record(line: bytes, read: _Read, at: int, form: Form, now_ms: int) -> Record:
    event = read.objects[at]
    at_ms = read.at_ms[at] or now_ms if form.event_timestamps else None
    if event is None:
        return Record(form.topic, None, line, (), at_ms)
    headers = () if at in read.faults else headers_of(event, form.source)
    return Record(form.topic, key_of(event), line, headers, at_ms)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None
