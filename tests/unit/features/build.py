"""Builders: small groups, events and bags, with everything that does not matter filled in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from features import entry
from features.bag import ENTRY_WORDS
from features.compact import compact
from features.entry import Own
from features.feature import MONEY, RECENCY, Feature, Read, distinct, each
from features.group import Group
from features.logscale import place
from features.payload import payloads
from features.window import Window

SECONDS = (Window("10s", 1_000, 10), Window("1m", 10_000, 6))


def group(
    *more: Feature,
    windows: Sequence[Window] = SECONDS,
    reads: Sequence[Read] = MONEY,
    others: Sequence[str] = (),
    counted: Sequence[Window] = SECONDS[:1],
    **changes: Any,
) -> Group:
    """Money over two windows, no counterparties, recency, and then some."""
    features = (*each(windows, *reads), *distinct(others, counted), *RECENCY, *more)
    given: dict[str, Any] = {"name": "g", "layout": 1, "entity": "who", "features": features}
    return Group(**{**given, **changes})


def own(
    at: Sequence[int], amount: Sequence[int] | None = None, others: Sequence[Sequence[int]] = (), owner: int = 0
) -> Own:
    """Events of one entity; `others` per counterparty column."""
    n = len(at)
    amounts = np.array(amount if amount is not None else [100] * n, np.int64)
    hashes = np.array(others, np.int64).reshape(len(others), n)
    flags = np.ones(n, np.int64)
    return Own.of(np.full(n, owner), np.array(at, np.int64), amounts, flags, place(amounts), hashes)


def stamped(group: Group, events: Own, number: int = 1_000) -> bytes:
    """The bag after one range of these events."""
    return entry.stamped(payloads(group, events, 1)[0], number.to_bytes(8, "big"))


def compacted(group: Group, bag: bytes, limit: int = 1 << 62) -> bytes:
    done = compact(group, [bag], np.array([limit], np.uint64))[0]
    return bag if done is None else done.replacement + bag[len(done.prefix) :]


def limits(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array(numbers, np.uint64)


ENTRY_BYTES = ENTRY_WORDS * 8
