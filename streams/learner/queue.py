"""The queue: decisions and labels in, what is due out. Pure; the order of what comes in is merge.py's.

What is known of a decision at a time:
    fraud    the newest label of its order id, among those known by then, says so
    good     no label says fraud, and the order is so old that none will come (`mature_ms` after its event time)
    nothing  else: an early "good" of a reviewer is no label, for the bank may still not think so
which is what a training set says that is built as of then (training/sets/labels.py). A label is known from its
record's time on, or from the time it tells of where that is later. The newest is that of the largest (event time,
event id), as with the workers (features/orders.py); the same id again says nothing.

A row is due when what is known is something, and not what was said last. So a fraud is due when it is known, and not
before its decision; a good order when it is mature; a chargeback that is reversed makes the order good, at once where
it is mature, else when it is. At each millisecond the newest state of all that was known by then counts, so that what
is said does not depend on how records of one millisecond took turns. An order is followed for `follow_ms`, then closed.

`said` is what was said before (said.py). What should have been said by then and was not, because a record came late or
the settings were others, is due at the time of the last that was said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple, Self

import msgspec

from features.orders import Labelled
from schemas.matured import Label
from streams.learner.green import Green, GreenState
from streams.learner.orders import Orders, OrdersState
from streams.learner.said import Said

LEAST = 1_000
GOOD: Label = 0
FRAUD: Label = 1


class Decided(NamedTuple):
    """A record of `decisions`."""

    order: int  # hash of the order id
    decision: int  # the first 8 bytes of the decision id
    at_ms: int
    partition: int
    offset: int


class Heard(NamedTuple):
    """A record of `labels` that says something."""

    order: int
    label: Labelled


class Due(NamedTuple):
    """Something is known from `due_ms` on of the decision that lies there."""

    due_ms: int
    partition: int
    offset: int
    label: Label
    label_type: str | None
    was: Label | None
    turn: int


@dataclass(frozen=True, slots=True)
class Ages:
    """How old an order is when what is settled."""

    mature_ms: int
    follow_ms: int  # from then on its labels change nothing any more


class _Known(NamedTuple):
    label: Labelled
    since_ms: int


class QueueState(msgspec.Struct, frozen=True):
    """All that a queue is which has been drained."""

    orders: OrdersState
    green: GreenState
    labels: Mapping[int, _Known]
    early: Sequence[tuple[int, int, Heard]]
    now: int
    resume_ms: int
    touched: Sequence[int]
    missed: Sequence[int]
    open: int
    swept: int
    counts: tuple[int, int]


class Queue:
    """Take records by rising time, advance, and drain what became due."""

    def __init__(self, ages: Ages, said: Said, *, least: int = LEAST) -> None:
        """`least`: fewer rows and labels are not worth the trouble of being let go."""
        self._ages, self._said, self._least = ages, said, least
        self._resume_ms = said.last.due_ms if said.last is not None else -1
        self.orders = Orders()
        self._labels: dict[int, _Known] = {}
        self._early: list[tuple[int, int, Heard]] = []  # labels of a time to come: when, a number, which
        self._green = Green(self.orders)
        self._now = -1
        self._touched: set[int] = set()  # rows of which something may be due now
        self._missed: set[int] = set()  # rows of which something should have been said before `_resume_ms`
        self._due: list[Due] = []
        self._open = 0  # rows below are closed
        self._swept = 0  # labels that were left when those of no use were last looked for
        self.repeated = self.early = 0

    # ---- a copy

    def state(self) -> QueueState:
        """Raises ValueError where something is due that was not drained: it would be forgotten."""
        if self._due:
            raise ValueError(f"{len(self._due)} rows are due: drain them first")
        return QueueState(
            orders=self.orders.state(),
            green=self._green.state(),
            labels=dict(self._labels),
            early=list(self._early),
            now=self._now,
            resume_ms=self._resume_ms,
            touched=sorted(self._touched),
            missed=sorted(self._missed),
            open=self._open,
            swept=self._swept,
            counts=(self.repeated, self.early),
        )

    @classmethod
    def of_state(cls, ages: Ages, state: QueueState, said: Said, *, least: int = LEAST) -> Self:
        """The same again; `said`: what was said since it was copied."""
        made = cls(ages, said, least=least)
        made._resume_ms = max(made._resume_ms, state.resume_ms)
        made.orders = Orders.of_state(state.orders)
        made._green = Green.of_state(made.orders, state.green)
        made._labels, made._early = dict(state.labels), list(state.early)
        made._now, made._open, made._swept = state.now, state.open, state.swept
        made._touched, made._missed = set(state.touched), set(state.missed)
        made.repeated, made.early = state.counts
        made.hear(said)
        return made

    def hear(self, said: Said) -> None:
        """What was said that this one may not know of: whether it should have been is looked at in time."""
        for row in self.orders.rows_of(said.decisions()):
            told = said.of(self.orders.decision(row))
            if told is not None and told[0] > self.orders.told(row)[0]:
                self.orders.tell(row, *told)
                self._missed.add(row)

    # ---- what comes in

    def take(self, now_ms: int, item: Decided | Heard) -> None:
        """A record; times never fall."""
        self.advance(now_ms)
        self._now = now_ms
        if isinstance(item, Decided):
            self._decided(item)
        elif item.label.at_ms > now_ms:
            self.early += 1
            heappush(self._early, (item.label.at_ms, self.early, item))
        else:
            self._known(item)

    def _decided(self, one: Decided) -> None:
        if self.orders.has(one.order, one.decision):
            self.repeated += 1
            return
        self._forget_label(one.order)
        mature_ms = one.at_ms + self._ages.mature_ms
        row = self.orders.add(one.order, one.decision, mature_ms, one.partition, one.offset)
        if (told := self._said.of(one.decision)) is not None:
            self.orders.tell(row, *told)
        self._green.add(row, mature_ms)
        if one.order in self._labels:
            self._touched.add(row)

    def _known(self, one: Heard) -> None:
        self._forget_label(one.order)
        known = self._labels.get(one.order)
        if known is None or (one.label > known.label and one.label.event_id != known.label.event_id):
            self._labels[one.order] = _Known(one.label, self._now)
            self._touched.update(row for row in self.orders.of(one.order) if not self._closed(row))

    # ---- time

    def advance(self, bound_ms: int) -> None:
        """Settles every time before the bound."""
        while (now := self._next_time()) < bound_ms:
            self._now = now
            while self._early and self._early[0][0] <= now:
                self._known(heappop(self._early)[2])
            self._touched.update(self._green.ripe(now))
            if now >= self._resume_ms:
                self._touched |= self._missed
                self._missed.clear()
            self._settle()
        self._let_go()

    def drain(self) -> list[Due]:
        """What became due since, by due time."""
        due, self._due = self._due, []
        return due

    def _next_time(self) -> int:
        """When something may become due, seen from now."""
        times = [self._green.next_ms()]
        if self._touched:
            times.append(self._now)
        if self._early:
            times.append(self._early[0][0])
        if self._missed:
            times.append(self._resume_ms)
        return max(self._now, min(times))

    # ---- what is known

    def _settle(self) -> None:
        """Says what is known now of the rows that were touched, where it is not what was said last."""
        for row in sorted(self._touched):
            turn, was = self.orders.told(row)
            known = self._known_of(row)
            if known is None or known[0] == was:
                self._missed.discard(row)
            elif self._now < self._resume_ms:
                self._missed.add(row)
            else:
                self._due.append(Due(self._now, *self.orders.where(row), *known, was, turn + 1))
                self.orders.tell(row, turn + 1, known[0])
        self._touched.clear()

    def _known_of(self, row: int) -> tuple[Label, str | None] | None:
        if self._closed(row):
            return None
        found = self._labels.get(self.orders.order(row))
        if found is not None and found.label.fraud:
            return FRAUD, found.label.type
        if self._now >= self.orders.mature_ms(row):
            return GOOD, found and found.label.type
        return None

    # ---- what is over

    def _closed(self, row: int) -> bool:
        return self.orders.mature_ms(row) - self._ages.mature_ms + self._ages.follow_ms < self._now

    def _forget_label(self, order: int) -> None:
        """Where it is so old that it is not the label of an order to come, and of none that is followed."""
        known = self._labels.get(order)
        if known is None or known.since_ms + self._ages.follow_ms >= self._now:
            return
        if all(self._closed(row) for row in self.orders.of(order)):
            del self._labels[order]

    def _let_go(self) -> None:
        """Makes room. What is forgotten here counted for nothing any more."""
        orders = self.orders
        while self._open < orders.end and self._closed(self._open):
            self._open += 1
        if 2 * (self._open - orders.first) > len(orders) + self._least:
            orders.let_go(self._open)
            self._missed = {row for row in self._missed if row >= self._open}
            self._swept = 0
        if len(self._labels) > 2 * self._swept + self._least:
            for order in list(self._labels):
                self._forget_label(order)
            self._swept = len(self._labels)
