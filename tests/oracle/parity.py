"""The shop's whole vector said naively, from the records as they came and the rows of `applied`: dicts and lists.

    headrace parity --oracle tests.oracle.parity --sample 500

Nothing of features/ is used, and nothing is folded away: every event stays in a list of each of its entities, with the
number under which the entity's shard took it. An order is then told of all that have a smaller number, and of those
before it in its own range. The price: everything in memory, and some ten milliseconds an order.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from xxhash import xxh3_64_intdigest

from schemas.money import Rates
from tests.oracle.windows import Ask, Entity, Happening, Spec

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WINDOWS = {"10m": (MINUTE, 10), "1h": (MINUTE, 60), "24h": (HOUR, 24), "7d": (6 * HOUR, 28), "30d": (DAY, 30)}
DISTINCT = ("1h", "24h", "7d")
OTHERS = {
    "user": ("card", "device", "ip"),
    "card": ("user", "device", "ip"),
    "device": ("user", "card", "ip"),
    "ip": ("user", "card", "device"),
    "merchant": ("user", "card"),
}
EXACT = {"merchant": 16}
MONEY = ("sum", "mean", "max")
CHECKOUT = 2  # of an entry's flags
CENTS = 100  # of the base currency
CART = {"add_to_cart": 1, "remove_from_cart": -1, "begin_checkout": 0, "update_cart": 0}


@dataclass(frozen=True)
class Seen:
    """An event of one entity: under which number, where in its range, and what of it counts."""

    number: int
    place: int
    happening: Happening


@dataclass(frozen=True)
class Asked:
    """An order as it was taken."""

    order: dict[str, Any]
    numbers: Sequence[int]
    place: int


class ShopOracle:
    """`streams.parity.oracle.Oracle` for the shop's own definitions."""

    def __init__(self) -> None:
        self._rates = Rates()
        self._seen: dict[tuple[str, str], list[Seen]] = defaultdict(list)
        self._orders: dict[tuple[str, int, int], Asked] = {}

    def take(self, topic: str, partition: int, numbers: Sequence[int], events: Sequence[tuple[int, bytes]]) -> None:
        for place, (offset, value) in enumerate(events):
            event = json.loads(value)
            for group, entity, happening in self._happenings(topic, event):
                number = numbers[shard(group, entity, len(numbers))]
                self._seen[group, entity].append(Seen(number, place, happening))
            if topic == "orders":
                self._orders[topic, partition, offset] = Asked(event, numbers, place)

    def vector(self, topic: str, partition: int, offset: int) -> Mapping[str, float]:
        asked = self._orders[topic, partition, offset]
        order = asked.order
        said = dict(self._own(order))
        for group in OTHERS:
            said |= self._entity(group, order, asked)
        return said | self._session(order, asked)

    # ---- what an event is to its entities

    def _happenings(self, topic: str, event: dict[str, Any]) -> Iterator[tuple[str, str, Happening]]:
        ids, at = entities(event), epoch_ms(event["event_time"])
        cents = self._cents(topic, event)
        if topic == "orders":
            for group, others in OTHERS.items():
                entity = ids[group]
                if entity is not None:
                    yield group, entity, Happening(at, cents, 1, tuple(hashed(ids[other]) for other in others))
        session = ids["session"]
        if topic in ("orders", "clickstream", "cart") and session is not None:
            kind = event["type"]
            flags = CHECKOUT if kind == "begin_checkout" else 0
            amount = CART.get(kind, 0) * cents if topic == "cart" else 0
            yield "session", session, Happening(at, amount, flags, (hashed(ids["product"]),))

    def _cents(self, topic: str, event: dict[str, Any]) -> int:
        value = event.get("value") if topic in ("orders", "cart") else 0
        if value is None:
            value = sum((one.get("price") or 0) * (one.get("quantity") or 1) for one in event.get("items") or ())
        at = np.array([epoch_ms(event["event_time"])])
        return int(self._rates.to_base_minor(np.array([float(value)]), [event.get("currency")], at)[0])

    # ---- the vector

    def _own(self, order: dict[str, Any]) -> Iterator[tuple[str, float]]:
        at = datetime.fromisoformat(order["event_time"])
        billed, shipped = order.get("billing_country"), order.get("shipping_country")
        yield "order_amount", self._cents("orders", order) / CENTS
        yield "order_items", float(len(order["items"]))
        yield "order_quantity", float(sum(item["quantity"] for item in order["items"]))
        yield "order_countries_differ", float(billed is not None and shipped is not None and billed != shipped)
        yield "order_hour", float(at.hour)
        yield "order_weekend", float(at.weekday() >= 5)

    def _entity(self, group: str, order: dict[str, Any], asked: Asked) -> dict[str, float]:
        asks = dict(asks_of(group))
        spec = Spec(list(asks.values()), EXACT.get(group, 32), 10 * MINUTE, WINDOWS["30d"])
        answer = self._tell(group, "orders", order, asked, spec)
        if answer is None:
            return dict.fromkeys(asks, 0.0)
        pairs = zip(asks.items(), answer, strict=True)
        return {name: value / (CENTS if ask.what in MONEY else 1) for (name, ask), value in pairs}

    def _session(self, order: dict[str, Any], asked: Asked) -> dict[str, float]:
        day = HOUR, 24
        asks = [
            Ask("count", *day),
            Ask("sum", *day),
            Ask("own", *day, own=lambda e: e.at if e.flags & CHECKOUT else None, least=True),
            Ask("distinct", *day),
            Ask("since_first"),
            Ask("span"),
        ]
        answer = self._tell("session", "orders", order, asked, Spec(asks, 32, 10 * MINUTE, day))
        count, total, checkout, products, since_first, span = answer or [0.0] * 6
        first = epoch_ms(order["event_time"]) - round(since_first * 1000)
        return {
            "session_events": count,
            "session_distinct_products": products,
            "session_cart_value": total / CENTS,
            "session_seconds_to_checkout": -1.0 if checkout < 0 else max(checkout - first, 0) / 1000,
            "session_events_per_minute": count / max(span / 60, 1.0),
        }

    def _tell(self, group: str, topic: str, order: dict[str, Any], asked: Asked, spec: Spec) -> list[float] | None:
        """What the windows of its entity say of an order; None where it has none."""
        own = [(entity, one) for name, entity, one in self._happenings(topic, order) if name == group]
        if not own:
            return None
        ((entity, happening),) = own
        number = asked.numbers[shard(group, entity, len(asked.numbers))]
        before = [s.happening for s in self._seen[group, entity] if (s.number, s.place) < (number, asked.place)]
        return Entity(before).tell(spec, happening)


def asks_of(group: str) -> Iterator[tuple[str, Ask]]:
    """The columns of a group that are told of an order, in any order."""
    for span, window in WINDOWS.items():
        for what in AGGREGATES:
            yield f"{group}_{what}_{span}", Ask(what, *window)
    for slot, other in enumerate(OTHERS[group]):
        for span in DISTINCT:
            yield f"{group}_distinct_{other}s_{span}", Ask("distinct", *WINDOWS[span], slot=slot)
    yield f"{group}_since_last_s", Ask("since_last")
    yield f"{group}_since_first_s", Ask("since_first")


AGGREGATES = ("count", "sum", "mean", "max", "spread")


def oracle() -> ShopOracle:
    """What `--oracle` asks a module for."""
    return ShopOracle()


def entities(event: dict[str, Any]) -> dict[str, str | None]:
    items = event.get("items") or [{}]
    return {
        "user": event.get("user_id") or event.get("visitor_id"),
        "card": event.get("card_id"),
        "device": event.get("device_id"),
        "ip": event.get("ip"),
        "merchant": event.get("merchant_id"),
        "session": event.get("session_id"),
        "product": items[0].get("item_id"),
    }


def epoch_ms(text: str) -> int:
    at = datetime.fromisoformat(text)
    return round(at.timestamp() // 1 * 1000) + at.microsecond // 1000


def hashed(text: str | None) -> int:
    """30 bits, never 0; 0 for nobody."""
    return 0 if text is None else max(xxh3_64_intdigest(text.encode()) & (1 << 30) - 1, 1)


def shard(group: str, entity: str, shards: int) -> int:
    return int(xxh3_64_intdigest(f"{group}:{entity}".encode()) % shards)
