"""A normal visit: look around, perhaps fill a cart, perhaps buy. Times between steps are exponential.

Each step is one event of `clickstream`, `cart` or `orders`; all carry the visit's session id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from simulation.catalogue import Catalogue, Product
from simulation.event import Body, Event, Mint, Truth
from simulation.people import Customer

STEP_MS = 6_000  # mean time between two steps of a person
PAGES = ("/", "/sale", "/new", "/help")
CURRENCY_UNITS = {"EUR": 1.0, "USD": 1.1, "GBP": 0.85, "SEK": 11.0}  # the shop's own price list, not an exchange rate


@dataclass(frozen=True, slots=True)
class Habits:
    """Rates of a visit. `looks` page and product views on average; `buys` of the visits end in an order."""

    looks: float = 4.0
    carts: float = 0.5  # share of the visits that put something into the cart; at least `buys`
    buys: float = 0.3
    most_lines: int = 3  # of a cart
    express: float = 0.0  # share of the orders with one click: no checkout step before the order


@dataclass(slots=True)
class Steps:
    """Walks through one session: makes its events and moves its clock."""

    mint: Mint
    random: Random
    at_ms: int
    who: Body
    truth: Truth = Truth.NORMAL
    mean_ms: int = STEP_MS

    def take(self, topic: str, type_: str, body: Body) -> Event:
        """The next step: an event now, then a pause."""
        event = self.mint.event(topic, type_, self.at_ms, self.who, body, self.truth)
        self.at_ms += 1 + int(self.random.expovariate(1 / self.mean_ms))
        return event


def cents_in(currency: str, cents: int) -> int:
    """A catalogue price (cents of EUR) in another currency of the shop's price list."""
    return round(cents * CURRENCY_UNITS[currency])


def cart_body(lines: list[tuple[Product, int]], currency: str) -> Body:
    """`items`, `value` and `currency` of a cart event or an order; `value` is the exact sum of its lines."""
    items = [
        {**product.line(quantity), "price": cents_in(currency, product.price_cents) / 100}
        for product, quantity in lines
    ]
    total = sum(cents_in(currency, product.price_cents) * quantity for product, quantity in lines)
    return {"items": items, "value": total / 100, "currency": currency}


def visit(
    mint: Mint, random: Random, catalogue: Catalogue, customer: Customer, habits: Habits, at_ms: int
) -> Iterator[Event]:
    """The events of one visit that begins at `at_ms`, in time order."""
    device = customer.devices[int(random.random() ** 2 * len(customer.devices))]
    steps = Steps(mint, random, at_ms, customer.session(mint.session_id(), device))
    looks = int(random.expovariate(1 / habits.looks)) if habits.looks else 0
    for _ in range(looks):
        yield steps.take("clickstream", *_look(random, catalogue))
    fate = random.random()
    if fate >= max(habits.carts, habits.buys):
        return
    count = 1 + int(random.random() * habits.most_lines)
    lines = [(catalogue.pick(random), 1 + int(random.random() ** 3 * 4)) for _ in range(count)]
    for line in lines:
        yield steps.take("cart", "add_to_cart", cart_body([line], customer.currency))
    if len(lines) > 1 and random.random() < 0.15:
        yield steps.take("cart", "remove_from_cart", cart_body([lines.pop()], customer.currency))
    if fate < habits.buys:
        yield from _buy(steps, customer, cart_body(lines, customer.currency), random.random() < habits.express)


def _look(random: Random, catalogue: Catalogue) -> tuple[str, Body]:
    fate = random.random()
    if fate < 0.3:
        return "page_view", {"page_location": PAGES[int(random.random() * len(PAGES))]}
    product = catalogue.pick(random)
    if fate < 0.4:
        return "search", {"search_term": product.name.lower()}
    return "view_item", {"items": [product.line(1)]}


def _buy(steps: Steps, customer: Customer, cart: Body, express: bool) -> Iterator[Event]:
    if not express:
        yield steps.take("cart", "begin_checkout", cart)
        yield steps.take("cart", "add_payment_info", {**cart, "payment_method": customer.method})
    card = customer.cards[int(steps.random.random() * len(customer.cards))]
    yield steps.take("orders", "purchase", order_body(steps.mint, cart, customer.method, card, customer.country))


def order_body(mint: Mint, cart: Body, method: str, card_id: str, billing: str, shipping: str | None = None) -> Body:
    """An order of `cart`; without a `shipping` country it goes home."""
    return {
        "order_id": mint.order_id(),
        **cart,
        "card_id": card_id,
        "merchant_id": "m-main",
        "billing_country": billing,
        "shipping_country": shipping or billing,
        "payment_method": method,
    }
