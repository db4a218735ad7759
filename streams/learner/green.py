"""Green orders: which of them is mature next.

Orders come by about their event time, so nearly all mature in the order of their rows, and need no queue but a place in
it. Those that came late are on a heap beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import Self

import msgspec

from streams.learner.orders import Orders

NEVER = 2**62


class GreenState(msgspec.Struct, frozen=True):
    """All that it is."""

    next: int
    passed: int
    newest: int
    late: Sequence[tuple[int, int]]


class Green:
    """Of `orders`, the rows that are not mature yet."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._next = 0  # rows below are mature, or came late
        self._passed = self._newest = -1  # the latest that an order of those below is mature, and of all
        self._late: list[tuple[int, int]] = []

    def state(self) -> GreenState:
        return GreenState(self._next, self._passed, self._newest, list(self._late))

    @classmethod
    def of_state(cls, orders: Orders, state: GreenState) -> Self:
        """The same again, of the same orders."""
        made = cls(orders)
        made._next, made._passed, made._newest = state.next, state.passed, state.newest
        made._late = list(state.late)
        return made

    def add(self, row: int, mature_ms: int) -> None:
        """Rows come by their numbers."""
        if mature_ms < self._newest:
            heappush(self._late, (mature_ms, row))
        self._newest = max(self._newest, mature_ms)

    def next_ms(self) -> int:
        """When the next one is mature."""
        return min(self._next_in_turn(), self._late[0][0] if self._late else NEVER)

    def ripe(self, now_ms: int) -> Iterator[int]:
        """Those that are mature by now, each once."""
        while self._late and self._late[0][0] <= now_ms:
            yield heappop(self._late)[1]
        while (mature_ms := self._next_in_turn()) <= now_ms:
            self._passed = mature_ms
            self._next += 1
            yield self._next - 1

    def _next_in_turn(self) -> int:
        orders = self._orders
        while self._next < orders.end:
            mature_ms = orders.mature_ms(self._next)
            if mature_ms >= self._passed:
                return mature_ms
            self._next += 1  # it came late
        return NEVER
