"""The shop: who is remembered, what is told of them, and the vector that models and rules read.

Orders are remembered by user, card, device, IP address and merchant with all that can be told of money, by the
address's network, the products and their categories, and the shop as a whole; orders, clicks and carts by session and
by visitor. What became of an order is told to its user, card, device, address, merchant and products
(features/orders.py). To add a feature, write one line into a group; to add an entity, a group and its ids in
features/events.py; then fit the model again.

The price: a dozen bags an order, each some 4 us of the store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from features.columns import Columns, Floats, Floats2d, Ints
from features.definitions import Definitions, Flow
from features.events import cart_columns, click_columns, label_columns, order_columns, outcome_columns
from features.feature import (
    ABSENT,
    MONEY,
    RECENCY,
    Count,
    Distinct,
    Feature,
    Habit,
    Known,
    Mean,
    Measure,
    Measured,
    New,
    Outlying,
    Ratio,
    Share,
    SinceKnown,
    Span,
    Streak,
    Sum,
    Usual,
    distinct,
    each,
)
from features.group import Group
from features.join import Join
from features.kinds import CART_CHANGED, CHECKOUT_BEGUN, CLEARED, DECLINED, FRAUD, IN_WORDS, LOGIN_FAILED, ORDERED
from features.more import scales_of, with_features
from features.orders import OF_LABELS, OF_ORDERS, OF_OUTCOMES
from features.sequence import recent
from features.vector import Vector
from features.window import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    WINDOW_1H,
    WINDOW_7D,
    WINDOW_24H,
    WINDOW_30D,
    WINDOWS,
    Window,
)
from features.words import in_words
from schemas.decode import decode_batch
from schemas.money import Rates, exponent

LOOKED_UP = (WINDOW_1H, WINDOW_24H, WINDOW_7D)
KNOWN_AFTER_MS = 7 * DAY_MS  # what is newer is mostly not known yet, and would count as good
RISK_WINDOWS = (Window("1d", 6 * HOUR_MS, 4), Window("7d", DAY_MS, 7), Window("30d", DAY_MS, 30))
RISK = Share(FRAUD, less=CLEARED, prior=0.005, weight=10)


RISKS = (
    *(Feature(RISK, window, of=ORDERED, delay_ms=KNOWN_AFTER_MS) for window in RISK_WINDOWS),
    Feature(Known(FRAUD, less=CLEARED, called="known_frauds"), RISK_WINDOWS[-1]),
)
"""What labels say of the orders of a week ago and before, as far as they are known."""
SINCE_FRAUD = (
    Feature(SinceKnown("last", FRAUD, CLEARED), RISK_WINDOWS[-1]),
    Feature(SinceKnown("first", FRAUD, CLEARED), RISK_WINDOWS[-1]),
    # A day more than labels take: of the day that they reach, some orders are known and some are not yet.
    Feature(Streak(FRAUD, CLEARED), Window("4w", DAY_MS, 28), of=ORDERED, delay_ms=KNOWN_AFTER_MS + DAY_MS),
)


def spending(*others: str) -> tuple[Feature, ...]:
    """What is told of whoever orders: how often, how much, with whom, since when, and what became of it."""
    looked_up = tuple(Feature(Distinct(other), window, of=ORDERED) for other in others for window in LOOKED_UP)
    pace = Feature(Ratio(WINDOW_7D), WINDOW_1H, of=ORDERED)
    return (*each(WINDOWS, *MONEY, of=ORDERED), *looked_up, *RECENCY, pace, *RISKS, *SINCE_FRAUD)


OWN_USUAL = (Feature(Usual(), WINDOW_30D, of=ORDERED), Feature(Outlying(), WINDOW_30D, of=ORDERED))
LAST_ORDERS = recent(8, same=("device",), of=ORDERED)  # what a network reads as a sequence

USER = Group("user", 1, "user", (*spending("card", "device", "ip"), *OWN_USUAL, *LAST_ORDERS), keep=16, cap=40)
CARD = Group("card", 2, "card", (*spending("user", "device", "ip"), *OWN_USUAL), keep=16, cap=40)
DEVICE = Group("device", 3, "device", spending("user", "card", "ip"))
IP = Group("ip", 4, "ip", spending("user", "card", "device"))
# A merchant knows everybody: half the usual number of smallest hashes keeps its bag under 16 KB.
MERCHANT = Group("merchant", 5, "merchant", spending("user", "card"), exact=16, cap=48)

HABITS = Group(
    "habits",
    7,
    "user",
    (
        Feature(Habit(), WINDOW_30D, name="user_hour_habit_30d"),
        *(Feature(New(what), WINDOW_30D, name=f"user_new_{what}_30d") for what in ("device", "country", "merchant")),
    ),
)
SUBNET = Group(
    "subnet",
    8,
    "subnet",
    (
        *each((WINDOW_1H, WINDOW_24H), Count()),
        *distinct(("user", "card_device"), (WINDOW_24H,)),
        Feature(Ratio(WINDOW_7D), WINDOW_1H),
    ),
    exact=16,
)
PRODUCT = Group(
    "product",
    9,
    "products",
    (*each((WINDOW_1H, WINDOW_24H), Count(), of=ORDERED), *RISKS),
    many=True,
)
# What has all orders is sent as tiles, and of each partition's last range they stay in the bag: coarse ones, so few.
COARSE_10M, COARSE_1H = Window("10m", 2 * MINUTE_MS, 5), Window("1h", 10 * MINUTE_MS, 6)
COARSE_24H, COARSE_7D = Window("24h", 2 * HOUR_MS, 12), Window("7d", 12 * HOUR_MS, 14)
CATEGORY = Group(
    "category",
    10,
    "categories",
    (*each((COARSE_1H, COARSE_24H), Count()), Feature(Ratio(COARSE_7D), COARSE_1H)),
    many=True,
)
SHOP = Group(
    "shop",
    11,
    "shop",
    (*each((COARSE_10M, COARSE_1H, COARSE_24H), Count(), Mean()), Feature(Ratio(COARSE_7D), COARSE_1H)),
)
VISITOR = Group(
    "visitor",
    12,
    "visitor",
    (
        *each((WINDOW_1H, WINDOW_24H), Count()),
        *(
            Feature(Count(), w, of=LOGIN_FAILED, name=f"visitor_failed_logins_{w.name}")
            for w in (WINDOW_1H, WINDOW_24H)
        ),
        *(Feature(Count(), w, of=DECLINED, name=f"visitor_declined_{w.name}") for w in (WINDOW_1H, WINDOW_24H)),
    ),
)


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

SPENDERS = (USER, CARD, DEVICE, IP, MERCHANT)
ORDER_GROUPS = (*SPENDERS, HABITS, SUBNET, PRODUCT, CATEGORY, SHOP, VISITOR)

ORDER_NAMES = (
    "order_amount",
    "order_items",
    "order_quantity",
    "order_countries_differ",
    "order_hour",
    "order_weekend",
)
# An account that is robbed spends unlike itself, for days; a tree cannot divide one column by another.
AGAINST_MONTH = {
    "user_order_to_mean_30d": ("order_amount", "user_mean_30d"),
    "user_order_to_max_30d": ("order_amount", "user_max_30d"),
    "user_mean_7d_to_mean_30d": ("user_mean_7d", "user_mean_30d"),
    "user_max_7d_to_mean_30d": ("user_max_7d", "user_mean_30d"),
    "user_max_24h_to_mean_30d": ("user_max_24h", "user_mean_30d"),
}
SESSION_NAMES = (
    "session_events",
    "session_distinct_products",
    "session_cart_value",
    "session_seconds_to_checkout",
    "session_events_per_minute",
)
VISIT_NAMES = (
    *SESSION_NAMES,
    "session_span_s",
    "session_pace_s",
    "session_products_per_event",
    "session_since_last_s",
    "visitor_count_1h",
    "visitor_failed_logins_1h",
    "visitor_declined_1h",
)
"""What session rules read, and what is learned of sessions; of an order's session the vector tells the first five."""
NOUNS = {
    "user": "account",
    "habits": "account",
    "ip": "address",
    "subnet": "network",
    "card_device": "card-device pair",
}
OWN_WORDS = {
    "order_amount": "amount of the order",
    "order_items": "lines of the order",
    "order_quantity": "pieces in the order",
    "order_countries_differ": "billed to one country, shipped to another (1: yes)",
    "order_hour": "hour of the day, UTC",
    "order_weekend": "weekend (1: yes)",
    "user_order_to_mean_30d": "amount of the order against the account's average within 30 d",
    "user_order_to_max_30d": "amount of the order against the account's largest within 30 d",
    "user_mean_7d_to_mean_30d": "average order of the account within 7 d against that within 30 d",
    "user_max_7d_to_mean_30d": "largest order of the account within 7 d against its average within 30 d",
    "user_max_24h_to_mean_30d": "largest order of the account within 24 h against its average within 30 d",
    "session_events": "events of the session",
    "session_distinct_products": "different products of the session",
    "session_cart_value": "value of the cart",
    "session_seconds_to_checkout": "seconds from the session's start to the checkout",
    "session_events_per_minute": "events of the session a minute",
}
VISIT_WORDS = {
    "session_pace_s": "seconds from one event of the session to the next, on average",
    "session_products_per_event": "different products of the session for each of its events",
}
SECONDS_A_DAY = 86_400
NO_MORE: Mapping[str, Sequence[Feature]] = {}


def shop_definitions(rates: Rates | None = None, more: Mapping[str, Sequence[Feature]] = NO_MORE) -> Definitions:
    """What a worker runs for the shop; amounts are summed in the base currency of `rates` (None: the default table).

    `more`: further features of its groups, by the group's name. Their columns come last (features/more.py).
    """
    rates = rates or Rates()
    scale = float(10 ** exponent(rates.base))
    orders = _flow(
        "orders", rates, partial(order_columns, rates), (*ORDER_GROUPS, SESSION), scored=True, join=OF_ORDERS
    )
    clicks = _flow("clickstream", rates, click_columns, (SESSION, VISITOR))
    carts = _flow("cart", rates, partial(cart_columns, rates), (SESSION, VISITOR))
    labels = _flow("labels", rates, label_columns, (), join=OF_LABELS)
    outcomes = _flow("outcomes", rates, outcome_columns, (*SPENDERS, PRODUCT), join=OF_OUTCOMES, ours=True)
    shop = Definitions(
        flows=(orders, clicks, carts, labels, outcomes),
        vector=order_vector(scale),
        session=session_vector(scale),
        milestones="session_events",
        constants={"rates": rates.fingerprint()},
    )
    return with_features(shop, more, scale, NOUNS, IN_WORDS) if more else shop


def session_vector(scale: float = 100.0) -> Vector:
    """The vector of a session, at one of its events; `scale` as for `order_vector`."""
    every = {**in_words((SESSION, VISITOR), NOUNS, "event", IN_WORDS), **OWN_WORDS, **VISIT_WORDS}
    words = {name: every[name] for name in VISIT_NAMES}
    return Vector(VISIT_NAMES, (SESSION, VISITOR), partial(_visit_values, scale), words=words)


def order_vector(scale: float = 100.0) -> Vector:
    """The vector of an order; `scale`: minor units in one unit of the base currency, in which the vector speaks."""
    told = (name for group in ORDER_GROUPS for name in group.columns)
    names = [*ORDER_NAMES, *told, *AGAINST_MONTH, *SESSION_NAMES]
    words = {
        **in_words(ORDER_GROUPS, NOUNS, kinds=IN_WORDS),
        **in_words((VISITOR,), NOUNS, "event", IN_WORDS),
        **OWN_WORDS,
    }
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


def _order_values(scale: float, orders: Columns, folded: Mapping[str, Floats2d]) -> Floats2d:
    seconds = orders.at_ms // 1000
    weekday = (seconds // SECONDS_A_DAY + 3) % 7  # 1970-01-01 was a Thursday; 0 = Monday
    own = [
        orders.amount / scale,
        orders.numbers["items"],
        orders.numbers["quantity"],
        orders.numbers["countries_differ"],
        (seconds % SECONDS_A_DAY // 3600).astype(np.float64),
        (weekday >= 5).astype(np.float64),
    ]
    told = [folded[group.name].T for group in ORDER_GROUPS]
    later = np.zeros((len(AGAINST_MONTH), orders.n))
    matrix = np.concatenate((own, *told, later, _session_values(scale, orders, folded)))
    matrix /= _scales(scale)
    for row, top, below in _against_month():  # of what the vector says, not of minor units: the last bit may differ
        np.divide(matrix[top], matrix[below], out=matrix[row], where=matrix[below] > 0)
    return matrix


@cache
def _against_month() -> list[tuple[int, int, int]]:
    """Places in the vector: of each quotient, of what is divided, and by what; it is 0 where the month has nothing."""
    told = (name for group in ORDER_GROUPS for name in group.columns)
    place = {name: at for at, name in enumerate((*ORDER_NAMES, *told, *AGAINST_MONTH))}
    return [(place[name], place[top], place[below]) for name, (top, below) in AGAINST_MONTH.items()]


@cache
def _scales(scale: float) -> Floats2d:
    """(d, 1) what each column is divided by: the groups' money becomes units of the base currency."""
    told = scales_of((feature for group in ORDER_GROUPS for feature in group.features), scale)
    return np.array([1.0] * len(ORDER_NAMES) + told + [1.0] * (len(AGAINST_MONTH) + len(SESSION_NAMES)))[:, None]


def _session_values(scale: float, columns: Columns, folded: Mapping[str, Floats2d]) -> list[Floats]:
    """Seconds to checkout are from the first event to the first `begin_checkout`, -1 where there is none.

    The rate is of all events that are known over the time between the first and the last of them: an event that comes
    in behind later ones sees these too, and must not divide them by its own age.
    """
    events, value, checkout, products, _, since_first, span = folded["session"].T
    first_ms = columns.at_ms - np.rint(since_first * 1000)
    to_checkout = np.where(checkout < 0, -1.0, np.maximum(checkout - first_ms, 0) / 1000)
    return [events, products, value / scale, to_checkout, events / np.maximum(span / 60, 1.0)]


def _visit_values(scale: float, columns: Columns, folded: Mapping[str, Floats2d]) -> list[Floats]:
    """Those of the session, then of its pace and its products, then what is known of the visitor."""
    own = _session_values(scale, columns, folded)
    events, products, since_last, span = own[0], own[1], folded["session"].T[4], folded["session"].T[6]
    pace = span / np.maximum(events - 1, 1)
    told = dict(zip(VISITOR.columns, folded["visitor"].T, strict=True))
    visitor = [told[name] for name in VISIT_NAMES if name in told]
    return [*own, span, pace, products / np.maximum(events, 1), since_last, *visitor]
