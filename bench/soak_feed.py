"""What the soak feeds: orders, clicks and carts of users that come and go, at a steady pace on the wall clock.

Every two seconds another 120 users take over and are never seen again, each with a card, a device, an address and a
session of its own; the 50 merchants stay. A label is of an order not long ago. So the number of bags alive depends on
the clock alone. No event comes twice: the log of verdicts reaches ten million offsets back, and would still be growing
when the run ends.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from schemas.settings import Settings
from schemas.timestamps import rfc3339
from streams.data.cluster import Cluster
from streams.data.record import Record
from streams.data.sender import Sender

USERS, MERCHANTS, PRODUCTS = 120, 50, 2_000
ROTATE_MS = 2_000
NEWEST = 1_000  # orders that a label may be of: of some two seconds
TICK_MS = 50
SHARES = (("orders", 0.4), ("clickstream", 0.4), ("cart", 0.19), ("labels", 0.01))

_encode = msgspec.json.Encoder().encode


class Shop:
    """Makes events of the moment asked for; the same seed makes the same choices."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._topics: tuple[str, ...] = tuple(topic for topic, _ in SHARES)
        self._weights = tuple(share for _, share in SHARES)
        self._users: Iterator[int] = itertools.cycle(range(USERS))
        self._ordered: deque[int] = deque(maxlen=NEWEST)

    def events(self, count: int, first: int, now_ms: int) -> list[Record]:
        """`count` events, numbered from `first`, all at `now_ms`."""
        topics = self._dice.choices(self._topics, self._weights, k=count)
        return [self._record(topic, first + i, now_ms) for i, topic in enumerate(topics)]

    def _record(self, topic: str, number: int, now_ms: int) -> Record:
        user = f"{now_ms // ROTATE_MS}-{next(self._users)}"
        price = round(self._dice.lognormvariate(3.4, 0.8), 2)
        product = {"item_id": f"p{self._dice.randrange(PRODUCTS)}", "item_name": "thing", "item_category": "things"}
        items = [{**product, "price": price, "quantity": 1}]
        event = {"event_id": f"e{number}", "event_time": rfc3339(now_ms), "user_id": user, "session_id": f"s{user}"}
        event |= getattr(self, f"_{topic}")(number, user, price, items)
        return Record(topic, user.encode(), _encode(event), (), now_ms)

    def _orders(self, number: int, user: str, price: float, items: list[object]) -> dict[str, object]:
        self._ordered.append(number)
        return {
            "type": "purchase", "order_id": f"o{number}", "value": price, "currency": "EUR", "items": items,
            "card_id": f"c{user}", "device_id": f"d{user}", "ip": f"i{user}",
            "merchant_id": f"m{self._dice.randrange(MERCHANTS)}", "billing_country": "DE", "shipping_country": "DE",
            "payment_method": "card",
        }  # fmt: skip

    def _clickstream(self, number: int, user: str, price: float, items: list[object]) -> dict[str, object]:  # noqa: ARG002
        return {"type": "view_item", "items": items}

    def _cart(self, number: int, user: str, price: float, items: list[object]) -> dict[str, object]:  # noqa: ARG002
        return {"type": "add_to_cart", "items": items, "value": price, "currency": "EUR"}

    def _labels(self, number: int, user: str, price: float, items: list[object]) -> dict[str, object]:  # noqa: ARG002
        order = self._dice.choice(self._ordered) if self._ordered else number
        return {"type": "chargeback", "order_id": f"o{order}", "reason_code": "10.4"}


async def feed(settings: Settings, seed: int, events_s: float, behind_s: int, going: Callable[[], bool]) -> int:
    """Sends `behind_s` of events at once, then at this pace for as long as `going`; returns how many.

    Each event is of the moment at which it was due, so a stall of this process is made up for, and leaves no user out.
    """
    shop, sent = Shop(seed), 0
    due_ms = int(time.time() * 1000) - behind_s * 1000
    async with Cluster(settings.kafka).producer() as producer:
        sender = Sender(producer)
        while going():
            while due_ms <= time.time() * 1000:
                some = shop.events(round(events_s * TICK_MS / 1000), sent, due_ms)
                await sender.send(some)
                sent, due_ms = sent + len(some), due_ms + TICK_MS
            await sender.dispatch()
            await asyncio.sleep(TICK_MS / 1000)
        await sender.flush()
    return sent
