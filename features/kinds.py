"""Kinds of event, as bits of an entry's flags: what a feature's `of` counts."""

from __future__ import annotations

BROWSED, CART_CHANGED, CHECKOUT_BEGUN, ORDERED, LOGIN_FAILED, DECLINED, FRAUD, CLEARED = (1 << bit for bit in range(8))
"""FRAUD: an order is known as fraud from now on (an entry dated like the order); CLEARED: that is taken back."""

IN_WORDS = {ORDERED: "order", LOGIN_FAILED: "failed login", DECLINED: "declined payment"}

NAMES = {
    BROWSED: "browsing",
    CART_CHANGED: "cart change",
    CHECKOUT_BEGUN: "checkout",
    **IN_WORDS,
    FRAUD: "known fraud",
    CLEARED: "fraud taken back",
}
