"""Bytes in, events out, and for everything else the reason and the place.

One msgspec decode per record types it and checks its limits. What msgspec cannot say at that price is looked at only
where it can matter: control characters in ids need a backslash, a DEL or non-ASCII in the record; nesting that could
exhaust the stack needs a long record. Times and currencies are checked for the whole batch. Bad input is data: nothing
here raises, and the same bytes give the same fault on every machine, whatever the batch they came in. The price: a bad
record is read twice, once to refuse it and once to say where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from schemas import events as shapes
from schemas.cloudevents import data_of
from schemas.events import Event, Label
from schemas.frames import schema_id
from schemas.money import DEFAULT_RATES
from schemas.outcomes import Outcome
from schemas.places import at_byte, cannot_be_deep, deeper_than
from schemas.timestamps import epoch_ms
from schemas.topics import MAX_RECORD_BYTES

Ints = npt.NDArray[np.int64]

MAX_DEPTH = 500  # msgspec recurses: with Python's limit of 1000 frames this leaves as many for the caller
PLAIN_BYTES = 2 * MAX_DEPTH  # a shorter record cannot be nested deeper than MAX_DEPTH and be JSON
DETAIL_CHARACTERS = 200
_NO_TIME = "1970-01-01T00:00:00.000Z"


class Reason(StrEnum):
    """Why a record is a dead letter. Closed, and safe as a metric label."""

    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    WRONG_TYPE = "wrong_type"
    MISSING_FIELD = "missing_field"
    OUT_OF_RANGE = "out_of_range"
    TOO_MANY_ITEMS = "too_many_items"
    TOO_LARGE = "too_large"
    BAD_TIME = "bad_time"
    TOO_LATE = "too_late"
    FUTURE = "future"
    UNKNOWN_CURRENCY = "unknown_currency"
    CONFLICTING_ID = "conflicting_id"
    UNKNOWN_TYPE = "unknown_type"
    BAD_ID = "bad_id"
    UNKNOWN_SCHEMA = "unknown_schema"
    NOT_AVRO = "not_avro"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a record cannot be used, where in it (`$.items[0].quantity`), and a sentence for people."""

    reason: Reason
    path: str
    detail: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch: `events[i]` is None exactly where `faults` has i; `at_ms` (n,) the event times, 0 there."""

    events: list[Any]
    faults: dict[int, Fault]
    at_ms: Ints


DEFAULT_CURRENCIES: Final[frozenset[str]] = frozenset().union(*DEFAULT_RATES.values())


def decode_batch(
    topic: str, values: Sequence[bytes | None], currencies: Collection[str] = DEFAULT_CURRENCIES
) -> Decoded:
    """Decodes records of an input topic; `currencies` are those of the rate table. Never raises on a record."""
    codec = _CODECS[topic]
    decode = codec.decode
    faults: dict[int, Fault] = {}
    decoded: list[Event | None] = []
    append = decoded.append
    for value in values:
        if value and len(value) <= PLAIN_BYTES and value.isascii() and 92 not in value and 127 not in value:
            try:
                append(decode(value))
                continue
            except (msgspec.MsgspecError, RecursionError):
                pass  # the careful way says why
        read = _carefully(codec, value)
        if isinstance(read, Fault):
            faults[len(decoded)] = read
            append(None)
        else:
            append(read)
    return _finish(codec, decoded, faults, currencies)


def decode_one(topic: str, value: bytes | None, currencies: Collection[str] = DEFAULT_CURRENCIES) -> Event | Fault:
    """One record, by the same rules."""
    decoded = decode_batch(topic, [value], currencies)
    event: Event | None = decoded.events[0]
    return decoded.faults[0] if event is None else event


def _finish(codec: _Codec, decoded: list[Any], faults: dict[int, Fault], currencies: Collection[str]) -> Decoded:
    """The checks that are cheaper for a whole batch: key, currency, time."""
    allowed = {*currencies, None}
    keyless = codec.keyless
    suspects = [
        at
        for at, event in enumerate(decoded)
        if event is not None
        and (event.currency not in allowed or (event.user_id is None and event.visitor_id is None and not keyless))
    ]
    for at in suspects:
        event, decoded[at] = decoded[at], None
        faults[at] = _no_key() if event.currency in allowed else _no_such_currency(event.currency)
    at_ms, bad = epoch_ms([_NO_TIME if event is None else event.event_time for event in decoded])
    for at in np.flatnonzero(bad).tolist():
        faults[at] = Fault(
            Reason.BAD_TIME, "$.event_time", f"want RFC 3339 with Z or an offset, got {_short(decoded[at].event_time)}"
        )
        decoded[at] = None
    return Decoded(decoded, faults, at_ms)


def _no_key() -> Fault:
    return Fault(Reason.MISSING_FIELD, "$.user_id", "want user_id or visitor_id: it is the key of the record")


def _no_such_currency(currency: str) -> Fault:
    return Fault(Reason.UNKNOWN_CURRENCY, "$.currency", f"{_short(currency)} is not in the rate table (HEADRACE_RATES)")


Ids = tuple[tuple[str, ...], Callable[[Event], tuple[str | None, ...]]]  # fields that hold an id, and what reads them


@dataclass(frozen=True, slots=True)
class _Codec:
    """How the records of one topic are read."""

    decode: Callable[[bytes], Any]
    keyless: bool  # a record may do without user_id and visitor_id


def _carefully(codec: _Codec, value: bytes | None, *, enclosed: bool = False) -> Event | Fault:
    """One record with every check, cheapest and most telling first. `enclosed`: it came in an envelope."""
    if not value:
        return Fault(Reason.EMPTY, "$", "the record has no value")
    if len(value) > MAX_RECORD_BYTES:
        return Fault(Reason.TOO_LARGE, "$", f"{len(value)} bytes: want at most {MAX_RECORD_BYTES}")
    if (number := schema_id(value)) is not None:
        return Fault(Reason.UNKNOWN_SCHEMA, "$", f"written by schema {number} of a registry: {_TO_READ}")
    if not value.isascii():
        try:
            value.decode()
        except UnicodeDecodeError as error:
            return Fault(Reason.NOT_UTF8, at_byte(value, error.start), f"byte {error.start}: {error.reason}")
    if len(value) > PLAIN_BYTES and not cannot_be_deep(value, MAX_DEPTH) and deeper_than(value, MAX_DEPTH):
        return _TOO_DEEP
    try:
        event: Event = codec.decode(value)
    except msgspec.ValidationError as error:
        data = None if enclosed else data_of(value)
        return _invalid(str(error)) if data is None else _enclosed(codec, data)
    except (msgspec.DecodeError, RecursionError) as error:
        return _malformed(value, str(error))
    if 92 in value or 127 in value or 0xC2 in value:  # an escape, DEL, or what C1 controls begin with in UTF-8
        return _control_in_id(event) or event
    return event


_TO_READ = "set HEADRACE_SCHEMA_REGISTRY__URL for the workers, then `headrace dlq redrive`"


def _enclosed(codec: _Codec, data: bytes) -> Event | Fault:
    """The event in a CloudEvent's envelope; a fault's path begins at the envelope."""
    if not data:
        return Fault(Reason.MISSING_FIELD, "$.data", "a CloudEvent in structured mode has the event in `data`, as JSON")
    read = _carefully(codec, data, enclosed=True)
    return Fault(read.reason, f"$.data{read.path[1:]}", read.detail) if isinstance(read, Fault) else read


_AT = re.compile(r"(.*?)(?: - at `(\$.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.+)`")
_REASONS: Final = (  # what msgspec's messages begin with
    ("Expected `array` of length <=", Reason.TOO_MANY_ITEMS),
    ("Expected `array` of length >=", Reason.OUT_OF_RANGE),
    ("Expected `int` ", Reason.OUT_OF_RANGE),
    ("Expected `float` ", Reason.OUT_OF_RANGE),
    ("Number out of range", Reason.OUT_OF_RANGE),
    ("Integer value out of range", Reason.OUT_OF_RANGE),
    ("Expected `str` of length", Reason.BAD_ID),  # only ids have one
    ("Invalid value", Reason.UNKNOWN_TYPE),  # only the tag is an enumeration
)


def _invalid(message: str) -> Fault:
    """msgspec's message as a fault: the path it names, and the missing field behind it."""
    found = _AT.fullmatch(message)
    text, path = (found[1], found[2] or "$") if found else (message, "$")
    if missing := _MISSING.fullmatch(text):
        return Fault(Reason.MISSING_FIELD, f"{path}.{missing[1]}", "required")
    reason = next((reason for start, reason in _REASONS if text.startswith(start)), Reason.WRONG_TYPE)
    return Fault(reason, path, text[:DETAIL_CHARACTERS])


_TOO_DEEP = Fault(Reason.NOT_JSON, "$", f"nested more than {MAX_DEPTH} deep")
_BYTE = re.compile(r"\(byte ([0-9]+)\)")
_HALF_WORD = re.compile(rb"[:,\[]\s*(?!null|true|false)([ntf][^\"]*)\Z")
_NO_NUMBER = re.compile(rb"nan|inf", re.IGNORECASE)


def _malformed(value: bytes, message: str) -> Fault:
    """Not JSON, or JSON but for a number that is none (which many encoders write)."""
    if deeper_than(value, MAX_DEPTH):  # msgspec may have given up for the stack's sake: that must not show
        return _TOO_DEEP
    found = _BYTE.search(message)
    position = len(value) if found is None else int(found[1])
    if half := _HALF_WORD.search(value[max(0, position - 8) : position]):
        position -= len(half[1])  # msgspec took it for a null, true or false and points behind that
    path = at_byte(value, position)
    if _NO_NUMBER.match(value, position):
        return Fault(Reason.OUT_OF_RANGE, path, "want a finite number, got NaN or an infinity")
    return Fault(Reason.NOT_JSON, path, message[:DETAIL_CHARACTERS])


_CONTROL = re.compile(r"[\u0000-\u001f\u007f-\u009f]")


def _control_in_id(event: Event) -> Fault | None:
    names, read = _ids(type(event))
    items = getattr(event, "items", None) or ()
    if "".join([*filter(None, read(event)), *[item.item_id for item in items]]).isprintable():
        return None  # control characters are not printable: nothing more to look for
    for name in names:
        if (text := getattr(event, name)) and _CONTROL.search(text):
            return _control(f"$.{name}", text)
    for at, item in enumerate(items):
        if _CONTROL.search(item.item_id):
            return _control(f"$.items[{at}].item_id", item.item_id)
    return None


def _control(path: str, text: str) -> Fault:
    return Fault(Reason.BAD_ID, path, f"control character in {_short(text)}")


def _short(text: str) -> str:
    return ascii(text[:64])


@cache
def _ids(shape: type[Event]) -> Ids:
    """By the mark that `schemas.events.Id` carries. Few records ask, so no start of a process does."""
    names = tuple(field.name for field in msgspec.structs.fields(shape) if "'x-id'" in repr(field.type))
    return names, attrgetter(*names)


class _Never(Struct, tag_field="type", tag=""):
    """Makes a union of a single shape too: only in a union does msgspec insist on the tag."""

    def __post_init__(self) -> None:
        raise ValueError("Invalid value '' - at `$.type`")


def _codec(shape: Any) -> _Codec:
    members: tuple[type[Event], ...] = getattr(shape, "__args__", (shape,))
    return _Codec(msgspec.json.Decoder(shape | _Never).decode, issubclass(members[0], Label))


_CODECS: Final = {
    "orders": _codec(shapes.Order),
    "clickstream": _codec(shapes.Clickstream),
    "cart": _codec(shapes.Carts),
    "labels": _codec(shapes.Labels),
    "outcomes": _codec(Outcome),
}
