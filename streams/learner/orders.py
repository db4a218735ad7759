"""Orders that wait for their labels: a few numbers each, and never their vectors.

The log is the queue: a vector is read again from `decisions` when its label is due, so of a waiting order is kept only
where it lies, when it is mature, what was said of it, and hashes to find it by. Columns of plain numbers and an open
hash table over them: 42 bytes an order and 6 to 12 of the table, where a dictionary of objects takes some hundreds.
Orders come and go in about the same sequence, so the oldest are let go together.

The price: order ids are told apart by 64 bits of their hash. Of 10 million orders at once, one in 400,000 such systems
has two ids that are taken for one. Of decisions that share an order id the newest 64 are looked at: more are no orders
but a shop that sends no real id.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.matured import Label

MOST_OF_ONE_ID = 64
SMALLEST = 1 << 10  # places of the table
NOBODY = -1
COLUMNS = ("order", "decision", "mature", "offset", "partition", "told", "before", "table")


class OrdersState(msgspec.Struct, frozen=True):
    """All of them, column by column, as they lie in memory."""

    first: int
    ids: int
    columns: Mapping[str, bytes]

    @property
    def count(self) -> int:
        """Orders."""
        return len(self.columns["order"]) // array("Q").itemsize


class Orders:
    """Rows by number; a number stays an order's until it is let go."""

    def __init__(self) -> None:
        self._first = 0  # number of the oldest row
        self._order, self._decision = array("Q"), array("Q")
        self._mature, self._offset = array("q"), array("q")
        self._partition, self._told = array("H"), array("I")
        self._before = array("i")  # place of the newest older row of the same order id
        self._table = array("i", [NOBODY]) * SMALLEST
        self._ids = 0

    def state(self) -> OrdersState:
        """A copy of all that it is."""
        return OrdersState(self._first, self._ids, {name: self._column(name).tobytes() for name in COLUMNS})

    @classmethod
    def of_state(cls, state: OrdersState) -> Self:
        """The same again."""
        made = cls()
        made._first, made._ids = state.first, state.ids
        for name in COLUMNS:
            column = made._column(name)
            del column[:]
            column.frombytes(state.columns[name])
        return made

    def _column(self, name: str) -> array[int]:
        column: array[int] = getattr(self, f"_{name}")
        return column

    def __len__(self) -> int:
        return len(self._order)

    @property
    def first(self) -> int:
        """The oldest row."""
        return self._first

    @property
    def end(self) -> int:
        """The number that the next row gets."""
        return self._first + len(self._order)

    @property
    def bytes(self) -> int:
        """What all of it takes."""
        return sum(column.itemsize * len(column) for column in map(self._column, COLUMNS))

    def add(self, order: int, decision: int, mature_ms: int, partition: int, offset: int) -> int:
        """A row of its own; (order, decision) are hashes."""
        place = len(self._order)
        slot = self._slot(order)
        before = self._table[slot]
        self._order.append(order)
        self._decision.append(decision)
        self._mature.append(mature_ms)
        self._offset.append(offset)
        self._partition.append(partition)
        self._told.append(0)
        self._before.append(before)
        self._table[slot] = place
        if before == NOBODY:
            self._ids += 1
            if 3 * self._ids > 2 * len(self._table):
                self._index(2 * len(self._table))
        return self._first + place

    def of(self, order: int) -> Iterator[int]:
        """The rows of an order id, the newest first."""
        place = self._table[self._slot(order)]
        for _ in range(MOST_OF_ONE_ID):
            if place == NOBODY:
                return
            yield self._first + place
            place = self._before[place]

    def has(self, order: int, decision: int) -> bool:
        """Whether the decision is there."""
        return any(self._decision[row - self._first] == decision for row in self.of(order))

    def rows_of(self, decisions: npt.NDArray[np.uint64]) -> list[int]:
        """The rows of some decisions, where they are there."""
        places = np.flatnonzero(np.isin(np.frombuffer(self._decision, np.uint64), decisions))
        return [self._first + place for place in places.tolist()]

    def order(self, row: int) -> int:
        return self._order[row - self._first]

    def decision(self, row: int) -> int:
        return self._decision[row - self._first]

    def mature_ms(self, row: int) -> int:
        """From when on a good order is known as good."""
        return self._mature[row - self._first]

    def where(self, row: int) -> tuple[int, int]:
        """Partition and offset of the decision."""
        place = row - self._first
        return self._partition[place], self._offset[place]

    def told(self, row: int) -> tuple[int, Label | None]:
        """How often something was said of it, and what last."""
        told = self._told[row - self._first]
        label: Label = 1 if told & 1 else 0
        return told >> 1, label if told else None

    def tell(self, row: int, turn: int, label: int) -> None:
        self._told[row - self._first] = turn << 1 | label

    def let_go(self, until: int) -> None:
        """Forgets the rows below a number. Half of all at a time is cheap."""
        n = until - self._first
        if n <= 0:
            return
        for name in COLUMNS[:-1]:
            setattr(self, f"_{name}", self._column(name)[n:])
        before = np.frombuffer(self._before, np.int32)
        np.maximum(before - n, NOBODY, out=before)
        self._first = until
        size = len(self._table)
        while size > SMALLEST and 6 * len(self) < size:
            size //= 2
        self._index(size)

    def _slot(self, order: int) -> int:
        """Where the table has the order id, or would have it."""
        table, orders = self._table, self._order
        mask = len(table) - 1
        slot = order & mask
        while (place := table[slot]) != NOBODY and orders[place] != order:
            slot = slot + 1 & mask
        return slot

    def _index(self, size: int) -> None:
        """The table anew."""
        self._table = array("i", [NOBODY]) * size
        self._ids = 0
        for place, order in enumerate(self._order):
            slot = self._slot(order)
            self._ids += self._table[slot] == NOBODY
            self._table[slot] = place
