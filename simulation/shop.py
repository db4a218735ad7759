"""The shop as one stream of events in time order, without end: customers, attackers, and labels when they are due.

Visits arrive at random with a steady rate (Poisson); every visit and attack is a short script whose steps are merged by
time in a heap, so memory holds only what is under way, plus the labels that are not due yet.
The price: no daily curve and no seasons; a steady rate keeps a live view and a measured run easy to read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from random import Random
from typing import Any

from schemas.ids import hash32
from schemas.timestamps import rfc3339
from simulation.attack import ATTACKS, Scene, card_testing
from simulation.catalogue import Catalogue
from simulation.event import Event, Mint, Truth
from simulation.people import People
from simulation.visit import Habits, visit

DAY_S = 86_400.0
# Of normal orders: so many are sent back, so many cancelled before they leave, so many taken for fraud by a reviewer
# who looks at once, and cleared when somebody looks again.
REFUNDED, CANCELLED, SUSPECTED = 0.02, 0.01, 0.01
CAUGHT = 0.2  # of the frauds: a reviewer sees them at once, long before the chargeback
AT_ONCE_MS = 1  # so soon after the order that the label may well be read before it
WARM_UP_MS = 90_000  # visits last a minute or two: the shop has been open for a while when we begin to look
STRESS_FRAUD = 0.015  # of the orders of a stress run
STRIKE_MS = 100  # mean time between two steps of an attack out of turn: all of it within seconds
ORDERS_OF_ATTACK = 9.5  # on average over the five kinds


@dataclass(frozen=True, slots=True)
class Plan:
    """What makes one run differ from another. Rates are per second of event time: a faster clock scales all of it."""

    seed: int = 7
    customers: int = 5_000
    products: int = 400
    visits_per_s: float = 10.0
    habits: Habits = field(default_factory=Habits)
    first_attack_s: float = 60.0
    attack_every_s: float = 120.0  # mean; 0 = no attacks
    label_delay_s: float = 14 * DAY_S  # mean delay of a chargeback, a refund, a cancellation

    @classmethod
    def live(cls, seed: int = 7) -> Plan:
        """A shop to watch: several orders a second, an attack within seconds, labels while one looks on."""
        return cls(seed=seed, visits_per_s=20.0, first_attack_s=4.0, attack_every_s=8.0, label_delay_s=20.0)

    @classmethod
    def stress(cls, orders: int, seed: int = 7, days: float = 3.0) -> Plan:
        """A shop that makes about `orders` orders in `days` days, with a click and a cart event or two beside each."""
        habits = Habits(looks=1.0, carts=0.95, buys=0.9, most_lines=1, express=0.8)
        attacks = max(1.0, orders * STRESS_FRAUD / ORDERS_OF_ATTACK)
        return cls(
            seed=seed,
            customers=max(100, orders // 20),
            visits_per_s=orders * (1 - STRESS_FRAUD) / habits.buys / (days * DAY_S),
            habits=habits,
            first_attack_s=days * DAY_S / attacks,
            attack_every_s=days * DAY_S / attacks,
            label_delay_s=DAY_S,
        )

    def with_rate(self, visits_per_s: float) -> Plan:
        """The same shop, busier or quieter."""
        return replace(self, visits_per_s=visits_per_s)


class Shop:
    """One run of the shop from `start_ms` on. Iterate `events()` once; make another Shop for the same events again."""

    def __init__(self, plan: Plan, start_ms: int) -> None:
        self.plan, self.start_ms = plan, start_ms
        # The start is part of the ids: the same seed run again an hour later is another run, not a pile of duplicates.
        self.tag = f"{hash32(f'{plan.seed}/{start_ms}'):08x}"
        self._random = Random(f"{plan.seed}/{start_ms}")
        self._mint = Mint(self.tag, rfc3339)
        self._catalogue = Catalogue(Random(plan.seed), plan.products)
        self._people = People(Random(plan.seed), self.tag, plan.customers)
        self._pending: list[tuple[int, int, Event]] = []
        self._pushed = 0
        self._attacks = 0
        self._strikes = 0

    def events(self) -> Iterator[Event]:
        """Every event of the run by event time, for ever."""
        next_visit = float(self.start_ms - WARM_UP_MS)
        next_attack = self._first_attack_ms()
        while True:
            upto = min(next_visit, next_attack)
            while self._pending and self._pending[0][0] <= upto:
                event = heappop(self._pending)[2]
                if event.at_ms < self.start_ms:
                    continue
                yield event
                if event.order_id is not None and event.topic == "orders":
                    self._label(event)
            if next_visit <= next_attack:
                self._visit(int(next_visit))
                next_visit += self._random.expovariate(self.plan.visits_per_s) * 1_000
            else:
                self._attack(int(next_attack))
                next_attack += self._random.expovariate(1 / self.plan.attack_every_s) * 1_000

    def _first_attack_ms(self) -> float:
        return self.start_ms + self.plan.first_attack_s * 1_000 if self.plan.attack_every_s else float("inf")

    def _push(self, events: Iterator[Event]) -> None:
        for event in events:
            self._pushed += 1
            heappush(self._pending, (event.at_ms, self._pushed, event))

    def _visit(self, at_ms: int) -> None:
        customer = self._people.pick(self._random)
        self._push(visit(self._mint, self._random, self._catalogue, customer, self.plan.habits, at_ms))

    def _attack(self, at_ms: int) -> None:
        """Each kind in turn, card testing first: every kind is seen before one is seen twice."""
        attack = list(ATTACKS.values())[self._attacks % len(ATTACKS)]
        self._attacks += 1
        name = f"{self.tag}-a{self._attacks:04d}"
        self._push(attack(Scene(self._mint, self._random, self._catalogue, self._people, name, at_ms)))

    def strike(self, at_ms: int) -> tuple[str, list[str]]:
        """An attack out of turn, at once: card testing, whose events come out of `events()` among all others. Returns
        its account and its orders' ids. What happens after it is no more what the seed alone says.
        """
        self._strikes += 1
        name = f"{self.tag}-x{self._strikes:04d}"
        scene = Scene(self._mint, self._random, self._catalogue, self._people, name, at_ms)
        events = list(card_testing(scene, STRIKE_MS))
        self._push(iter(events))
        orders = [event for event in events if event.topic == "orders"]
        return orders[0].key.decode(), [event.order_id for event in orders if event.order_id is not None]

    def _label(self, order: Event) -> None:
        """What becomes of an order: nothing, one label, or a reviewer's first and a second one that may differ."""
        fate = self._random.random()
        more: dict[str, Any]
        if order.truth.fraud:
            reviewed = fate < CAUGHT
            type_, more = "chargeback", {"reason_code": "10.4"}  # Visa: card absent, fraud
        elif fate < REFUNDED:
            reviewed, type_, more = False, "refund", {}
        elif fate < REFUNDED + CANCELLED:
            reviewed, type_, more = False, "order_cancelled", {}
        elif fate < REFUNDED + CANCELLED + SUSPECTED:
            reviewed, type_, more = True, "review_outcome", {"fraud": False}
        else:
            return
        due_ms = order.at_ms + AT_ONCE_MS + 1 + int(self._random.expovariate(1 / self.plan.label_delay_s) * 1_000)
        if reviewed:
            self._push(iter((self._labelled(order, "review_outcome", order.at_ms + AT_ONCE_MS, {"fraud": True}),)))
        self._push(iter((self._labelled(order, type_, due_ms, more),)))

    def _labelled(self, order: Event, type_: str, at_ms: int, more: Mapping[str, Any]) -> Event:
        """Of every other label the bank or the reviewer knows the order's id alone."""
        key = order.key.decode() if self._random.random() < 0.5 else None
        body = {"order_id": order.order_id, **more}
        return self._mint.event("labels", type_, at_ms, {"user_id": key} if key else {}, body, order.truth)


def until_orders(events: Iterator[Event], orders: int) -> Iterator[Event]:
    """The stream up to and including its `orders`-th order; copies made by `disturb` do not count."""
    left = orders
    for event in events:
        if left <= 0:
            return
        yield event
        left -= event.topic == "orders" and not event.copy and event.truth is not Truth.GARBAGE
        if left <= 0:
            return
