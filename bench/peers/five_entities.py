"""Five entities an order with labels that come late, 77 columns: a smaller vector than the shop's, defined by a user.

It shares the shop's entries, labels and outcomes; what is asked of each entity is a third.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from features.columns import Columns, Floats2d
from features.definitions import Definitions
from features.feature import RECENCY, Count, Feature, Mean, distinct, each
from features.group import Group
from features.kinds import ORDERED
from features.shop import LOOKED_UP, RISKS, shop_definitions
from features.vector import Vector
from features.window import WINDOW_24H

CENTS = 100.0
NAMES = ("order_amount", "order_items", "order_quantity")


def lean(*others: str) -> tuple[Feature, ...]:
    return (*each(LOOKED_UP, Count(), Mean(), of=ORDERED), *distinct(others, (WINDOW_24H,)), *RECENCY, *RISKS)


GROUPS = (
    Group("user", 1, "user", lean("card", "device", "ip")),
    Group("card", 2, "card", lean("user", "device", "ip")),
    Group("device", 3, "device", lean("user", "card", "ip")),
    Group("ip", 4, "ip", lean("user", "card", "device")),
    Group("merchant", 5, "merchant", lean("user", "card"), exact=16, cap=48),
)


def values(orders: Columns, folded: Mapping[str, Floats2d]) -> Floats2d:
    own = [orders.amount, orders.numbers["items"], orders.numbers["quantity"]]
    matrix = np.concatenate((own, *(folded[group.name].T for group in GROUPS)))
    matrix /= SCALES
    return matrix


told = [CENTS if isinstance(feature.read, Mean) else 1.0 for group in GROUPS for feature in group.features]
SCALES = np.array([CENTS, 1.0, 1.0, *told])[:, None]
shop = shop_definitions()
flows = tuple(
    replace(flow, groups=GROUPS if flow.topic in ("orders", "outcomes") else ())
    for flow in shop.flows
    if flow.topic in ("orders", "labels", "outcomes")
)
vector = Vector((*NAMES, *(name for group in GROUPS for name in group.columns)), GROUPS, values)
definitions = Definitions(flows, vector, constants=shop.constants)
