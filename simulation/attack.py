"""The shop's attackers. Each attack is a short story whose orders a reader can find by its card, device or address.

- card testing: one machine tries card after card on tiny orders, to learn which ones still work;
- a stolen card: a customer's account is taken over and buys dear things from a new device, shipped elsewhere;
- a device ring: many accounts with many cards order from one device;
- a bot reads pages faster than a person can; a cart stuffer fills a cart that it never pays (both without orders).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from simulation.catalogue import Catalogue
from simulation.event import Body, Event, Mint, Truth
from simulation.people import Customer, People
from simulation.visit import Steps, cart_body, order_body


@dataclass(frozen=True, slots=True)
class Scene:
    """Where an attack takes place, and the `name` that its accounts, cards and devices carry."""

    mint: Mint
    random: Random
    catalogue: Catalogue
    people: People
    name: str
    at_ms: int

    def steps(self, who: Body, truth: Truth, mean_ms: int, at_ms: int | None = None) -> Steps:
        """A session of the attack."""
        return Steps(self.mint, self.random, self.at_ms if at_ms is None else at_ms, who, truth, mean_ms)

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high."""
        return low + int(self.random.random() * (high - low + 1))


Attack = Callable[[Scene], Iterator[Event]]


def _throwaway(scene: Scene) -> Customer:
    """An account made for one attack, from an address range kept for documentation (RFC 5737)."""
    return Customer(
        user_id=f"u-{scene.name}",
        visitor_id=f"v-{scene.name}",
        cards=(),
        devices=(f"d-{scene.name}",),
        ip=f"203.0.113.{scene.between(1, 254)}",
        country="NL",
        currency="EUR",
        method="card",
    )


def card_testing(scene: Scene, mean_ms: int = 2_500) -> Iterator[Event]:
    """20 to 40 cards in a few minutes: one account, one device, one address; most attempts are declined first."""
    crook = _throwaway(scene)
    who = crook.session(scene.mint.session_id(), crook.devices[0])
    steps = scene.steps(who, Truth.CARD_TESTING, mean_ms)
    for number in range(scene.between(20, 40)):
        card = f"c-{scene.name}-{number:02d}"
        if scene.random.random() < 0.5:
            declined = {"card_id": card, "payment_method": "card", "decline_code": "do_not_honor"}
            yield steps.take("cart", "payment_declined", declined)
        cart = cart_body([(scene.catalogue.pick_cheap(scene.random), 1)], "EUR")
        yield steps.take("orders", "purchase", order_body(scene.mint, cart, "card", card, crook.country))


def stolen_card(scene: Scene) -> Iterator[Event]:
    """A customer's account and card in other hands: failed logins, a login, then dear orders shipped abroad."""
    victim = scene.people.pick(scene.random)
    who = {
        "user_id": victim.user_id,
        "session_id": scene.mint.session_id(),
        "device_id": f"d-{scene.name}",
        "ip": f"198.51.100.{scene.between(1, 254)}",
    }
    steps = scene.steps(who, Truth.STOLEN_CARD, mean_ms=4_000)
    for _ in range(scene.between(1, 4)):
        yield steps.take("clickstream", "login_failed", {"failure": "password"})
    yield steps.take("clickstream", "login", {})
    for _ in range(scene.between(4, 8)):
        lines = [(scene.catalogue.pick_dear(scene.random), scene.between(1, 3))]
        cart = cart_body(lines, victim.currency)
        order = order_body(scene.mint, cart, "card", victim.cards[0], victim.country, "MD")
        yield steps.take("orders", "purchase", order)


def device_ring(scene: Scene) -> Iterator[Event]:
    """8 to 15 new accounts, each with a card of its own, all on one device and one parcel address."""
    head = _throwaway(scene)
    at_ms = scene.at_ms
    for number in range(scene.between(8, 15)):
        who = {
            "user_id": f"u-{scene.name}-{number:02d}",
            "session_id": scene.mint.session_id(),
            "device_id": head.devices[0],
            "ip": head.ip,
        }
        steps = scene.steps(who, Truth.DEVICE_RING, mean_ms=3_000, at_ms=at_ms)
        yield steps.take("clickstream", "sign_up", {})
        cart = cart_body([(scene.catalogue.pick_dear(scene.random), 1)], "EUR")
        order = order_body(scene.mint, cart, "card", f"c-{scene.name}-{number:02d}", head.country, "LT")
        yield steps.take("orders", "purchase", order)
        at_ms = steps.at_ms


def bot(scene: Scene) -> Iterator[Event]:
    """150 to 300 product pages at several a second, never a cart."""
    reader = _throwaway(scene)
    who = {
        "visitor_id": reader.visitor_id,
        "session_id": scene.mint.session_id(),
        "device_id": reader.devices[0],
        "ip": reader.ip,
    }
    steps = scene.steps(who, Truth.BOT, mean_ms=250)
    for _ in range(scene.between(150, 300)):
        yield steps.take("clickstream", "view_item", {"items": [scene.catalogue.pick(scene.random).line(1)]})


def cart_stuffing(scene: Scene) -> Iterator[Event]:
    """60 to 120 products into one cart within a minute or two: stock is blocked and nothing is bought."""
    stuffer = _throwaway(scene)
    steps = scene.steps(stuffer.session(scene.mint.session_id(), stuffer.devices[0]), Truth.CART_STUFFING, mean_ms=900)
    for _ in range(scene.between(60, 120)):
        yield steps.take("cart", "add_to_cart", cart_body([(scene.catalogue.pick(scene.random), 5)], "EUR"))


ATTACKS: dict[Truth, Attack] = {
    Truth.CARD_TESTING: card_testing,
    Truth.STOLEN_CARD: stolen_card,
    Truth.DEVICE_RING: device_ring,
    Truth.BOT: bot,
    Truth.CART_STUFFING: cart_stuffing,
}
