"""The shop: which groups an order, a click and a cart belong to, and the vector that models and rules read.

Orders are remembered by user, card, device, IP address and merchant; orders, clicks and carts by session. To add a
group, write it down here, name its columns' source in `_order_columns`, and fit the model again.

The cart's value is what was put in minus what was taken out: sums do not care in which order events arrive.
The price: `update_cart`, which states the whole cart, cannot be counted into it and adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from features.columns import Columns, Floats, Floats2d, Ints
from features.definitions import Definitions, Flow
from features.feature import (
    ABSENT,
    MONEY,
    RECENCY,
    Count,
    Distinct,
    Feature,
    Max,
    Mean,
    Measure,
    Measured,
    Span,
    Sum,
    distinct,
    each,
)
from features.group import Group
from features.join import Join
from features.orders import OF_LABELS, OF_ORDERS, OF_OUTCOMES, outcome_columns
from features.vector import Vector
from features.window import HOUR_MS, WINDOW_1H, WINDOW_7D, WINDOW_24H, WINDOWS, Window
from features.words import in_words
from schemas import events as shapes
from schemas.decode import decode_batch
from schemas.money import Rates, exponent

# Kinds of event, as bits of an entry's flags.
BROWSED, CART_CHANGED, CHECKOUT_BEGUN, ORDERED, LOGIN_FAILED, DECLINED = (1 << bit for bit in range(6))

KINDS: Final[Mapping[type, int]] = {
    shapes.AddToCart: CART_CHANGED,
    shapes.RemoveFromCart: CART_CHANGED,
    shapes.BeginCheckout: CHECKOUT_BEGUN,
    shapes.Order: ORDERED,
    shapes.LoginFailed: LOGIN_FAILED,
    shapes.PaymentDeclined: DECLINED,
}
"""Every other event is BROWSED."""

LOOKED_UP = (WINDOW_1H, WINDOW_24H, WINDOW_7D)


def spending(*others: str) -> tuple[Feature, ...]:
    """What is told of whoever orders: how often, how much, with whom, since when."""
    return (*each(WINDOWS, *MONEY), *distinct(others, LOOKED_UP), *RECENCY)


USER = Group("user", 1, "user", spending("card", "device", "ip"))
CARD = Group("card", 2, "card", spending("user", "device", "ip"))
DEVICE = Group("device", 3, "device", spending("user", "card", "ip"))
IP = Group("ip", 4, "ip", spending("user", "card", "device"))
# A merchant knows everybody: half the usual number of smallest hashes keeps its bag under 16 KB.
MERCHANT = Group("merchant", 5, "merchant", spending("user", "card"), exact=16, cap=48)


def first_checkout(at_ms: Ints, _amount: Ints, flags: Ints) -> Ints:
    """When the checkout was begun, ABSENT for other events."""
    return np.where(flags & CHECKOUT_BEGUN != 0, at_ms, ABSENT)


VISIT = Window("", HOUR_MS, 24)
SESSION = Group(
    "session",
    6,
    "session",
    (
        Feature(Count(), VISIT),
        Feature(Sum(), VISIT, of=CART_CHANGED),
        Feature(Measured(Measure("checkout", first_checkout, "min")), VISIT),
        Feature(Distinct("product"), VISIT),
        *RECENCY,
        Feature(Span()),
    ),
)

ORDER_GROUPS = (USER, CARD, DEVICE, IP, MERCHANT)

ORDER_NAMES = (
    "order_amount",
    "order_items",
    "order_quantity",
    "order_countries_differ",
    "order_hour",
    "order_weekend",
)
SESSION_NAMES = (
    "session_events",
    "session_distinct_products",
    "session_cart_value",
    "session_seconds_to_checkout",
    "session_events_per_minute",
)
NOUNS = {"user": "account", "ip": "address"}
OWN_WORDS = {
    "order_amount": "amount of the order",
    "order_items": "lines of the order",
    "order_quantity": "pieces in the order",
    "order_countries_differ": "billed to one country, shipped to another (1: yes)",
    "order_hour": "hour of the day, UTC",
    "order_weekend": "weekend (1: yes)",
    "session_events": "events of the session",
    "session_distinct_products": "different products of the session",
    "session_cart_value": "value of the cart",
    "session_seconds_to_checkout": "seconds from the session's start to the checkout",
    "session_events_per_minute": "events of the session a minute",
}
SECONDS_A_DAY = 86_400


def shop_definitions(rates: Rates | None = None) -> Definitions:
    """What a worker runs for the shop; amounts are summed in the base currency of `rates` (None: the default table)."""
    rates = rates or Rates()
    scale = float(10 ** exponent(rates.base))
    orders = _flow(
        "orders", rates, partial(_order_columns, rates), (*ORDER_GROUPS, SESSION), scored=True, join=OF_ORDERS
    )
    clicks = _flow("clickstream", rates, _click_columns, (SESSION,))
    carts = _flow("cart", rates, partial(_cart_columns, rates), (SESSION,))
    labels = _flow("labels", rates, _label_columns, (), join=OF_LABELS)
    outcomes = _flow("outcomes", rates, outcome_columns, (), join=OF_OUTCOMES, ours=True)
    return Definitions(
        flows=(orders, clicks, carts, labels, outcomes),
        vector=order_vector(scale),
        session=Vector(SESSION_NAMES, (SESSION,), partial(_session_values, scale)),
        constants={"rates": rates.fingerprint()},
    )


def order_vector(scale: float = 100.0) -> Vector:
    """The vector of an order; `scale`: minor units in one unit of the base currency, in which the vector speaks."""
    names = [*ORDER_NAMES, *(name for group in ORDER_GROUPS for name in group.columns), *SESSION_NAMES]
    words = {**in_words(ORDER_GROUPS, NOUNS), **OWN_WORDS}
    return Vector(tuple(names), (*ORDER_GROUPS, SESSION), partial(_order_values, scale), words=words)


def _flow(
    topic: str,
    rates: Rates,
    columns: Callable[[Sequence[Any], Ints], Columns],
    groups: tuple[Group, ...],
    *,
    scored: bool = False,
    join: Join | None = None,
    ours: bool = False,
) -> Flow:
    decode = partial(decode_batch, topic, currencies=rates.currencies)
    return Flow(topic, decode, _event_ids, columns, groups, scored, join=join, ours=ours)


def _event_ids(events: Sequence[Any]) -> list[str]:
    return [event.event_id for event in events]


def _order_columns(rates: Rates, orders: Sequence[Any], at_ms: Ints) -> Columns:
    values = np.array([order.value for order in orders], np.float64)
    amount = rates.to_base_minor(values, [order.currency for order in orders], at_ms)
    ids: dict[str, Sequence[str | None]] = {
        "user": _users(orders),
        "card": [order.card_id for order in orders],
        "device": [order.device_id for order in orders],
        "ip": [order.ip for order in orders],
        "merchant": [order.merchant_id for order in orders],
        "session": [order.session_id for order in orders],
        "order": [order.order_id for order in orders],
        "product": [order.items[0].item_id for order in orders],
    }
    numbers = {
        "items": np.array([len(order.items) for order in orders], np.float64),
        "quantity": np.array([sum([item.quantity for item in order.items]) for order in orders], np.float64),
        "countries_differ": np.array([_countries_differ(order) for order in orders], np.float64),
    }
    return Columns(len(orders), at_ms, amount, np.full(len(orders), ORDERED), ids, numbers, orders)


def _countries_differ(order: shapes.Order) -> bool:
    known = order.billing_country is not None and order.shipping_country is not None
    return known and order.billing_country != order.shipping_country


def _click_columns(clicks: Sequence[Any], at_ms: Ints) -> Columns:
    amount = np.zeros(len(clicks), np.int64)
    return Columns(len(clicks), at_ms, amount, _kinds(clicks), _session_ids(clicks), {}, clicks)


def _cart_columns(rates: Rates, carts: Sequence[Any], at_ms: Ints) -> Columns:
    """Amounts are negative for what was taken out; without a value, that of the products named."""
    signs = np.array([-1 if type(cart) is shapes.RemoveFromCart else 1 for cart in carts], np.int64)
    values = np.array([_cart_value(cart) for cart in carts], np.float64)
    amount = signs * rates.to_base_minor(values, [cart.currency for cart in carts], at_ms)
    return Columns(len(carts), at_ms, amount, _kinds(carts), _session_ids(carts), {}, carts)


def _cart_value(cart: shapes.Cart) -> float:
    if cart.value is not None:
        return cart.value
    return sum([(item.price or 0.0) * (item.quantity or 1) for item in cart.items or ()])


def _label_columns(labels: Sequence[Any], at_ms: Ints) -> Columns:
    """Labels are added to no group: they wait for their orders (features/orders.py)."""
    nothing = np.zeros(len(labels), np.int64)
    ids: dict[str, Sequence[str | None]] = {"user": _users(labels), "order": [label.order_id for label in labels]}
    return Columns(len(labels), at_ms, nothing, nothing, ids, {}, labels)


def _session_ids(events: Sequence[Any]) -> dict[str, Sequence[str | None]]:
    return {
        "user": _users(events),
        "session": [event.session_id for event in events],
        "product": [event.items[0].item_id if event.items else None for event in events],
    }


def _users(events: Sequence[Any]) -> list[str | None]:
    return [event.user_id or event.visitor_id for event in events]


def _kinds(events: Sequence[Any]) -> Ints:
    return np.array([KINDS.get(type(event), BROWSED) for event in events], np.int64)


def _order_values(scale: float, orders: Columns, folded: Mapping[str, Floats2d]) -> list[Floats]:
    seconds = orders.at_ms // 1000
    weekday = (seconds // SECONDS_A_DAY + 3) % 7  # 1970-01-01 was a Thursday; 0 = Monday
    own: list[Floats] = [
        orders.amount / scale,
        orders.numbers["items"],
        orders.numbers["quantity"],
        orders.numbers["countries_differ"],
        (seconds % SECONDS_A_DAY // 3600).astype(np.float64),
        (weekday >= 5).astype(np.float64),
    ]
    for group in ORDER_GROUPS:
        own += list(folded[group.name].T / _scales(group, scale))
    return own + _session_values(scale, orders, folded)


def _scales(group: Group, scale: float) -> Floats:
    """(d, 1) what each of a group's columns is divided by: money becomes units of the base currency."""
    return np.array([[scale if isinstance(f.read, Sum | Mean | Max) else 1.0] for f in group.features])


def _session_values(scale: float, columns: Columns, folded: Mapping[str, Floats2d]) -> list[Floats]:
    """Seconds to checkout are from the first event to the first `begin_checkout`, -1 where there is none.

    The rate is of all events that are known over the time between the first and the last of them: an event that comes
    in behind later ones sees these too, and must not divide them by its own age.
    """
    events, value, checkout, products, _, since_first, span = folded["session"].T
    first_ms = columns.at_ms - np.rint(since_first * 1000)
    to_checkout = np.where(checkout < 0, -1.0, np.maximum(checkout - first_ms, 0) / 1000)
    return [events, products, value / scale, to_checkout, events / np.maximum(span / 60, 1.0)]
