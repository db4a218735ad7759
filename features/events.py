"""Events as columns: what the shop's features read of an order, a click, a cart event, a label and an outcome.

The cart's value is what was put in minus what was taken out: sums do not care in which order events arrive.
The price: `update_cart`, which states the whole cart, cannot be counted into it and adds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Any, Final

import numpy as np

from features.columns import Columns, Ints
from features.kinds import BROWSED, CART_CHANGED, CHECKOUT_BEGUN, CLEARED, DECLINED, FRAUD, LOGIN_FAILED, ORDERED
from schemas import events as shapes
from schemas.money import Rates

KINDS: Final[Mapping[type, int]] = {
    shapes.AddToCart: CART_CHANGED,
    shapes.RemoveFromCart: CART_CHANGED,
    shapes.BeginCheckout: CHECKOUT_BEGUN,
    shapes.Order: ORDERED,
    shapes.LoginFailed: LOGIN_FAILED,
    shapes.PaymentDeclined: DECLINED,
}
"""Every other event is BROWSED."""


def order_columns(rates: Rates, orders: Sequence[Any], at_ms: Ints) -> Columns:
    """Columns of orders. `products` and `categories` are all of an order's, `product` is its first."""
    values = np.array([order.value for order in orders], np.float64)
    amount = rates.to_base_minor(values, [order.currency for order in orders], at_ms)
    users = users_of(orders)
    cards, devices = [order.card_id for order in orders], [order.device_id for order in orders]
    ips = [order.ip for order in orders]
    ids: dict[str, Sequence[Any]] = {
        "user": users,
        "visitor": [order.visitor_id for order in orders],
        "card": cards,
        "device": devices,
        "card_device": [pair(card, device) for card, device in zip(cards, devices, strict=True)],
        "ip": ips,
        "subnet": [subnet(ip) for ip in ips],
        "merchant": [order.merchant_id for order in orders],
        "country": [order.shipping_country or order.billing_country for order in orders],
        "session": [order.session_id for order in orders],
        "order": [order.order_id for order in orders],
        "product": [order.items[0].item_id for order in orders],
        "products": [tuple([item.item_id for item in order.items]) for order in orders],
        "categories": [tuple([item.item_category for item in order.items if item.item_category]) for order in orders],
        "shop": ["shop"] * len(orders),
    }
    numbers = {
        "items": np.array([len(order.items) for order in orders], np.float64),
        "quantity": np.array([sum([item.quantity for item in order.items]) for order in orders], np.float64),
        "countries_differ": np.array([_countries_differ(order) for order in orders], np.float64),
    }
    return Columns(len(orders), at_ms, amount, np.full(len(orders), ORDERED), ids, numbers, orders)


def pair(one: str | None, other: str | None) -> str | None:
    """Two ids as one, None where either is missing; a separator that no id can hold keeps them apart."""
    return None if one is None or other is None else f"{one}\x1f{other}"


def subnet(ip: str | None) -> str | None:
    """The /24 of an IPv4 address, the /48 of an IPv6 one; what is neither stands for itself."""
    if ip is None or ":" not in ip:
        return ip and (ip.rpartition(".")[0] or ip)
    return _site(ip)


@lru_cache(maxsize=4_096)
def _site(ip: str) -> str:
    """An IPv6 address can be written in many ways, and reading one takes 5 us."""
    try:
        return IPv6Address(ip).exploded[:14]
    except AddressValueError:
        return ip


def _countries_differ(order: shapes.Order) -> bool:
    known = order.billing_country is not None and order.shipping_country is not None
    return known and order.billing_country != order.shipping_country


def click_columns(clicks: Sequence[Any], at_ms: Ints) -> Columns:
    amount = np.zeros(len(clicks), np.int64)
    return Columns(len(clicks), at_ms, amount, _kinds(clicks), _session_ids(clicks), {}, clicks)


def cart_columns(rates: Rates, carts: Sequence[Any], at_ms: Ints) -> Columns:
    """Amounts are negative for what was taken out; without a value, that of the products named."""
    signs = np.array([-1 if type(cart) is shapes.RemoveFromCart else 1 for cart in carts], np.int64)
    values = np.array([_cart_value(cart) for cart in carts], np.float64)
    amount = signs * rates.to_base_minor(values, [cart.currency for cart in carts], at_ms)
    return Columns(len(carts), at_ms, amount, _kinds(carts), _session_ids(carts), {}, carts)


def _cart_value(cart: shapes.Cart) -> float:
    if cart.value is not None:
        return cart.value
    return sum([(item.price or 0.0) * (item.quantity or 1) for item in cart.items or ()])


def label_columns(labels: Sequence[Any], at_ms: Ints) -> Columns:
    """Labels are added to no group: they wait for their orders (features/orders.py)."""
    nothing = np.zeros(len(labels), np.int64)
    ids: dict[str, Sequence[str | None]] = {"user": users_of(labels), "order": [label.order_id for label in labels]}
    return Columns(len(labels), at_ms, nothing, nothing, ids, {}, labels)


def outcome_columns(outcomes: Sequence[Any], at_ms: Ints) -> Columns:
    """Columns of outcomes: dated like their orders, `flags` say which way."""
    n = len(outcomes)
    fraud = np.fromiter([one.fraud for one in outcomes], np.bool_, n)
    ids: dict[str, Sequence[Any]] = {
        "order": [one.order_id for one in outcomes],
        "user": users_of(outcomes),
        "card": [one.card_id for one in outcomes],
        "device": [one.device_id for one in outcomes],
        "ip": [one.ip for one in outcomes],
        "merchant": [one.merchant_id for one in outcomes],
        "products": [tuple(one.products) for one in outcomes],
    }
    return Columns(n, at_ms, np.zeros(n, np.int64), np.where(fraud, FRAUD, CLEARED), ids, {}, outcomes)


def _session_ids(events: Sequence[Any]) -> dict[str, Sequence[str | None]]:
    return {
        "user": users_of(events),
        "visitor": [event.visitor_id for event in events],
        "session": [event.session_id for event in events],
        "product": [event.items[0].item_id if event.items else None for event in events],
    }


def users_of(events: Sequence[Any]) -> list[str | None]:
    return [event.user_id or event.visitor_id for event in events]


def _kinds(events: Sequence[Any]) -> Ints:
    return np.array([KINDS.get(type(event), BROWSED) for event in events], np.int64)
