"""The second opinion: an oracle that computes vectors from the records as they came, by a code of its own.

Ours is `tests/oracle/parity.py`, which lives with the tests and is not installed; `--oracle MODULE` names one. A module
has a function `oracle()` that returns an `Oracle`. It is told every range up to the line, so the price is its own: the
naive one of the tests keeps every event in memory.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

from streams.parity.pairs import Logged


class OracleError(ValueError):
    """A module that cannot be asked; the message says what it lacks."""


class Oracle(Protocol):
    """Told of ranges in any order, then asked."""

    def take(self, topic: str, partition: int, numbers: Sequence[int], events: Sequence[tuple[int, bytes]]) -> None:
        """A range: the number under which each shard took it, and its fresh events as (offset, value)."""
        ...

    def vector(self, topic: str, partition: int, offset: int) -> Mapping[str, float]:
        """The features of an order, by name."""
        ...


def load(module: str) -> Oracle:
    """Of an installed module, or one below the folder that we are in. Raises OracleError."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        made: Oracle = import_module(module).oracle()
    except (ImportError, AttributeError) as error:
        raise OracleError(
            f"oracle {module!r}: {error}: want a module with a function oracle(), such as tests.oracle.parity, "
            "run from a checkout of the sources"
        ) from error
    return made


class Sample:
    """The `size` decisions of the smallest ids: ids are hashes, so these are any, and always the same ones."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: list[tuple[int, Logged]] = []

    def choose(self, one: Logged) -> None:
        """Keeps it if it belongs to the sample so far."""
        rank = -int(one.decision_id, 16)
        if len(self._kept) < self._size:
            heapq.heappush(self._kept, (rank, one))
        elif self._kept and rank > self._kept[0][0]:
            heapq.heapreplace(self._kept, (rank, one))

    @property
    def decisions(self) -> list[Logged]:
        """By their place in the log."""
        return sorted((one for _, one in self._kept), key=lambda one: (one.topic, one.partition, one.offset))
