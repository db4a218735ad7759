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
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_address
from typing import Any

import numpy as np
from xxhash import xxh3_64_intdigest

from schemas.money import Rates
from tests.oracle.windows import Ask, Entity, Happening, Spec

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
TEN, ONE, FULL, WEEK, MONTH = (MINUTE, 10), (MINUTE, 60), (HOUR, 24), (6 * HOUR, 28), (DAY, 30)
WINDOWS = {"10m": TEN, "1h": ONE, "24h": FULL, "7d": WEEK, "30d": MONTH}
COARSE = {"10m": (2 * MINUTE, 5), "1h": (10 * MINUTE, 6), "24h": (2 * HOUR, 12), "7d": (12 * HOUR, 14)}
LOOKED_UP = ("1h", "24h", "7d")
RISKS = {"1d": (6 * HOUR, 4), "7d": (DAY, 7), "30d": MONTH}
KNOWN_AFTER = 7 * DAY
MONEY = ("sum", "mean", "max", "recent_amount")
CENTS = 100  # of the base currency
CART = {"add_to_cart": 1, "remove_from_cart": -1}
BROWSED, CHANGED, CHECKOUT, ORDERED, FAILED, DECLINED, FRAUD, CLEARED = (1 << bit for bit in range(8))
KINDS = {
    "add_to_cart": CHANGED,
    "remove_from_cart": CHANGED,
    "begin_checkout": CHECKOUT,
    "purchase": ORDERED,
    "login_failed": FAILED,
    "payment_declined": DECLINED,
}


@dataclass(frozen=True)
class Who:
    """One kind of entity: where its id is, which topics tell of it, what is asked."""

    ids: str
    asks: Mapping[str, Ask]
    others: tuple[str, ...] = ()
    topics: tuple[str, ...] = ("orders",)
    exact: int = 32
    keep: int = 0
    longest: tuple[int, int] = MONTH

    @property
    def spec(self) -> Spec:
        return Spec(list(self.asks.values()), self.exact, 10 * MINUTE, self.longest, self.keep, ORDERED)


def spending(who: str, others: tuple[str, ...], *, usual: bool = False) -> dict[str, Ask]:
    asks = {
        f"{who}_{what}_{span}": Ask(what, *window, of=ORDERED)
        for span, window in WINDOWS.items()
        for what in ("count", "sum", "mean", "max", "spread")
    }
    for slot, other in enumerate(others):
        asks |= {f"{who}_distinct_{other}s_{span}": Ask("distinct", *WINDOWS[span], slot=slot) for span in LOOKED_UP}
    asks |= {f"{who}_since_last_s": Ask("since_last"), f"{who}_since_first_s": Ask("since_first")}
    asks[f"{who}_pace_1h"] = Ask("ratio", *ONE, of=ORDERED, to=WEEK)
    asks |= risks(who)
    for name, last in (("last", True), ("first", False)):
        asks[f"{who}_days_since_{name}_fraud_30d"] = Ask("since", *MONTH, bad=FRAUD, less=CLEARED, current=last)
    asks[f"{who}_fraud_streak_4w"] = Ask(
        "streak", DAY, 28, of=ORDERED, bad=FRAUD, less=CLEARED, delay=KNOWN_AFTER + DAY
    )
    if usual:
        asks[f"{who}_vs_usual_30d"] = Ask("usual", *MONTH, of=ORDERED)
        asks[f"{who}_outlying_30d"] = Ask("outlying", *MONTH, of=ORDERED)
    return asks


def risks(who: str) -> dict[str, Ask]:
    share = Ask("share", of=ORDERED, bad=FRAUD, less=CLEARED, prior=0.005, weight=10.0, delay=KNOWN_AFTER)
    asks = {f"{who}_risk_{span}": replace(share, tile_ms=w[0], tiles=w[1]) for span, w in RISKS.items()}
    return asks | {f"{who}_known_frauds_30d": Ask("known", *MONTH, bad=FRAUD, less=CLEARED)}


def last_orders(who: str, other: str, slot: int) -> dict[str, Ask]:
    told = {"amount": "recent_amount", "gap_s": "recent_gap", f"same_{other}": "recent_same"}
    return {
        f"{who}_recent_{name}_{nth}": Ask(what, of=ORDERED, slot=slot, nth=nth)
        for name, what in told.items()
        for nth in range(1, 9)
    }


def spender(who: str, *others: str, exact: int = 32, keep: int = 0, more: Mapping[str, Ask] | None = None) -> Who:
    asks = spending(who, others, usual=bool(keep)) | dict(more or {})
    return Who(who, asks, others, ("orders", "outcomes"), exact, keep, (DAY, 37))


TIMES = {"1h": ONE, "24h": FULL}
GROUPS = {
    "user": spender("user", "card", "device", "ip", keep=16, more=last_orders("user", "device", slot=1)),
    "card": spender("card", "user", "device", "ip", keep=16),
    "device": spender("device", "user", "card", "ip"),
    "ip": spender("ip", "user", "card", "device"),
    "merchant": spender("merchant", "user", "card", exact=16),
    "habits": Who(
        "user",
        {"user_hour_habit_30d": Ask("habit", *MONTH)}
        | {
            f"user_new_{other}_30d": Ask("new", *MONTH, slot=slot)
            for slot, other in enumerate(("device", "country", "merchant"))
        },
        ("device", "country", "merchant"),
    ),
    "subnet": Who(
        "subnet",
        {f"subnet_count_{span}": Ask("count", *window) for span, window in TIMES.items()}
        | {
            "subnet_distinct_users_24h": Ask("distinct", *FULL, slot=0),
            "subnet_distinct_card_devices_24h": Ask("distinct", *FULL, slot=1),
            "subnet_pace_1h": Ask("ratio", *ONE, to=WEEK),
        },
        ("user", "card_device"),
        exact=16,
    ),
    "product": Who(
        "products",
        {f"product_count_{span}": Ask("count", *window, of=ORDERED) for span, window in TIMES.items()}
        | risks("product"),
        topics=("orders", "outcomes"),
    ),
    "category": Who(
        "categories",
        {f"category_count_{span}": Ask("count", *COARSE[span]) for span in ("1h", "24h")}
        | {"category_pace_1h": Ask("ratio", *COARSE["1h"], to=COARSE["7d"])},
    ),
    "shop": Who(
        "shop",
        {f"shop_{what}_{span}": Ask(what, *COARSE[span]) for span in ("10m", "1h", "24h") for what in ("count", "mean")}
        | {"shop_pace_1h": Ask("ratio", *COARSE["1h"], to=COARSE["7d"])},
    ),
    "visitor": Who(
        "visitor",
        {f"visitor_count_{span}": Ask("count", *window) for span, window in TIMES.items()}
        | {f"visitor_failed_logins_{span}": Ask("count", *window, of=FAILED) for span, window in TIMES.items()}
        | {f"visitor_declined_{span}": Ask("count", *window, of=DECLINED) for span, window in TIMES.items()},
        topics=("orders", "clickstream", "cart"),
    ),
    "session": Who(
        "session",
        {
            "events": Ask("count", *FULL),
            "value": Ask("sum", *FULL, of=CHANGED),
            "checkout": Ask("own", *FULL, own=lambda e: e.at if e.flags & CHECKOUT else None, least=True),
            "products": Ask("distinct", *FULL),
            "since_first": Ask("since_first"),
            "span": Ask("span"),
        },
        ("product",),
        ("orders", "clickstream", "cart"),
        longest=FULL,
    ),
}


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
        said = dict(self._own(asked.order))
        for group, who in GROUPS.items():
            told = self._entity(group, who, asked)
            said |= self._session(told, asked) if group == "session" else told
        return said | against_month(said)

    # ---- what an event is to its entities

    def _happenings(self, topic: str, event: dict[str, Any]) -> Iterator[tuple[str, str, Happening]]:
        ids, at = entities(topic, event), epoch_ms(event["event_time"])
        if topic == "outcomes":
            flags, amount = (FRAUD if event["fraud"] else CLEARED), 0
        else:
            flags, amount = KINDS.get(event["type"], BROWSED), self._amount(topic, event)
        for group, who in GROUPS.items():
            if topic in who.topics:
                counted = topic == "orders" or group == "session"
                others = tuple(hashed(ids[other][0]) if counted and ids[other] else 0 for other in who.others)
                for entity in dict.fromkeys(ids[who.ids]):
                    yield group, entity, Happening(at, amount, flags, others)

    def _amount(self, topic: str, event: dict[str, Any]) -> int:
        return CART.get(event["type"], 1) * self._cents(topic, event)

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

    def _entity(self, group: str, who: Who, asked: Asked) -> dict[str, float]:
        """What is asked of an entity; 0 where the order has none, the largest where it has several."""
        answers = [
            self._tell(group, entity, happening, who.spec, asked)
            for name, entity, happening in self._happenings("orders", asked.order)
            if name == group
        ]
        told = [max(of_ask) for of_ask in zip(*answers, strict=True)] if answers else [0.0] * len(who.asks)
        pairs = zip(who.asks.items(), told, strict=True)
        return {name: value / (CENTS if ask.what in MONEY else 1) for (name, ask), value in pairs}

    def _session(self, told: Mapping[str, float], asked: Asked) -> dict[str, float]:
        first = epoch_ms(asked.order["event_time"]) - round(told["since_first"] * 1000)
        checkout = told["checkout"]
        return {
            "session_events": told["events"],
            "session_distinct_products": told["products"],
            "session_cart_value": told["value"],
            "session_seconds_to_checkout": -1.0 if checkout < 0 else max(checkout - first, 0) / 1000,
            "session_events_per_minute": told["events"] / max(told["span"] / 60, 1.0),
        }

    def _tell(self, group: str, entity: str, happening: Happening, spec: Spec, asked: Asked) -> list[float]:
        """What an entity's windows say of an order."""
        number = asked.numbers[shard(group, entity, len(asked.numbers))]
        before = [s.happening for s in self._seen[group, entity] if (s.number, s.place) < (number, asked.place)]
        return Entity(before).tell(spec, happening)


def oracle() -> ShopOracle:
    """What `--oracle` asks a module for."""
    return ShopOracle()


def against_month(said: Mapping[str, float]) -> dict[str, float]:
    """The order and the account's last days against its month."""
    month = said["user_mean_30d"]
    of = {"mean_7d": "user_mean_7d", "max_7d": "user_max_7d", "max_24h": "user_max_24h", "order": "order_amount"}
    found = {f"user_{name}_to_mean_30d": said[column] / month if month > 0 else 0.0 for name, column in of.items()}
    most = said["user_max_30d"]
    return found | {"user_order_to_max_30d": said["order_amount"] / most if most > 0 else 0.0}


def entities(topic: str, event: dict[str, Any]) -> dict[str, list[str]]:
    """By kind the ids of an event: none, one or several."""
    items = event.get("items") or []
    card, device, ip = event.get("card_id"), event.get("device_id"), event.get("ip")
    one = {
        "user": event.get("user_id") or event.get("visitor_id"),
        "visitor": event.get("visitor_id"),
        "card": card,
        "device": device,
        "card_device": f"{card}\x1f{device}" if card and device else None,
        "ip": ip,
        "subnet": network(ip),
        "merchant": event.get("merchant_id"),
        "country": event.get("shipping_country") or event.get("billing_country"),
        "session": event.get("session_id"),
        "product": items[0].get("item_id") if items else None,
        "shop": "shop",
    }
    several = {
        "products": event["products"] if topic == "outcomes" else [item.get("item_id") for item in items],
        "categories": [item["item_category"] for item in items if item.get("item_category")],
    }
    return {kind: [] if found is None else [found] for kind, found in one.items()} | several


def network(ip: str | None) -> str | None:
    """The first three numbers of four, the first three groups of eight."""
    if ip is None:
        return None
    try:
        address = ip_address(ip)
    except ValueError:
        return ip.rsplit(".", 1)[0]
    return address.exploded[:14] if address.version == 6 else ip.rsplit(".", 1)[0]


def epoch_ms(text: str) -> int:
    at = datetime.fromisoformat(text)
    return round(at.timestamp() // 1 * 1000) + at.microsecond // 1000


def hashed(text: str | None) -> int:
    """30 bits, never 0; 0 for nobody."""
    return 0 if text is None else max(xxh3_64_intdigest(text.encode()) & (1 << 30) - 1, 1)


def shard(group: str, entity: str, shards: int) -> int:
    return int(xxh3_64_intdigest(f"{group}:{entity}".encode()) % shards)
