"""The shop's customers: who they are, what they pay with, what they come back on.

A customer keeps one or two cards, one to three devices and one home address, and a few customers come far more often
than the rest, so that per-entity windows fill as they do in a real shop.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

# country, its currency, its share of customers
HOMES = (("DE", "EUR", 0.45), ("FR", "EUR", 0.2), ("GB", "GBP", 0.15), ("US", "USD", 0.15), ("SE", "SEK", 0.05))
METHODS = ("card", "card", "card", "wallet", "invoice")
# Customer number = N * u ** SKEW: with 1.3, the first tenth of the customers makes a sixth of the visits. With 2 it was
# a third, and the first of 5,000 customers made one visit in 70: in the live shop an order every 12 seconds.
SKEW = 1.3


@dataclass(frozen=True, slots=True)
class Customer:
    user_id: str
    visitor_id: str
    cards: tuple[str, ...]
    devices: tuple[str, ...]
    ip: str
    country: str
    currency: str
    method: str

    def session(self, session_id: str, device_id: str) -> dict[str, str]:
        """What every event of one session carries."""
        return {"user_id": self.user_id, "session_id": session_id, "device_id": device_id, "ip": self.ip}


class People:
    """`size` customers of a run whose ids start with `tag`."""

    def __init__(self, random: Random, tag: str, size: int) -> None:
        self.customers = tuple(_customer(random, tag, number) for number in range(size))

    def pick(self, random: Random) -> Customer:
        """A customer as they come to the shop: some far more often than others."""
        return self.customers[int(len(self.customers) * random.random() ** SKEW)]


def _customer(random: Random, tag: str, number: int) -> Customer:
    country, currency = _home(random)
    method = METHODS[int(random.random() * len(METHODS))]
    return Customer(
        user_id=f"u-{tag}-{number:05d}",
        visitor_id=f"v-{tag}-{number:05d}",
        cards=tuple(f"c-{tag}-{number:05d}-{n}" for n in range(1 + (random.random() < 0.3))),
        devices=tuple(f"d-{tag}-{number:05d}-{n}" for n in range(1 + int(random.random() * 3))),
        ip=f"10.{int(random.random() * 256)}.{int(random.random() * 256)}.{1 + int(random.random() * 254)}",
        country=country,
        currency=currency,
        method=method,
    )


def _home(random: Random) -> tuple[str, str]:
    at = random.random()
    for country, currency, share in HOMES:
        at -= share
        if at < 0:
            return country, currency
    return HOMES[0][0], HOMES[0][1]
