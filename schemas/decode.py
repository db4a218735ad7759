"""Bytes in, events out, and for everything else the reason and the place.

One msgspec decode per record types it and checks its limits. What msgspec cannot say at that price is looked at only where
it can matter: control characters in ids need a backslash, a DEL or non-ASCII in the record; nesting that could exhaust
the stack needs a long record. Times and currencies are checked for the whole batch. Bad input is data: nothing here
raises, and the same bytes give the same fault on every machine, whatever the batch they came in. The price: a bad record
is read twice, once to refuse it and once to say where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from schemas import events as shapes
from schemas.events import Event, Label
from schemas.money import DEFAULT_RATES
from schemas.places import at_byte, depth_within
from schemas.timestamps import epoch_ms
from schemas.topics import MAX_RECORD_BYTES

Ints = npt.NDArray[np.int64]

MAX_DEPTH = 350  # msgspec recurses: with Python's limit of 1000 frames this leaves 650 for the caller
DETAIL_CHARACTERS = 200


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
    """Decodes records of one of the four input topics; `currencies` are those of the rate table."""
    raise NotImplementedError
