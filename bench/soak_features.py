"""The shop in fast motion: its groups, vector and rules as they are, its windows in seconds, for bench/soak.py.

Windows keep the names of the shop's, so that the shipped rules and model read them; `1h` is four seconds here. What
takes the shop 37 days, that a bag is made, compacted, left alone and collected, takes 20 seconds.
"""

from collections.abc import Mapping
from dataclasses import replace

from features.definitions import Definitions, Flow
from features.feature import NO_WINDOW, Feature, Ratio
from features.group import Group
from features.shop import shop_definitions
from features.vector import Vector
from features.window import SECOND_MS, Window

GRACE_MS = SECOND_MS
KEEP_MS = 24 * SECOND_MS
SECONDS: Mapping[str, Window] = {
    "10m": Window("10m", SECOND_MS, 2),
    "1h": Window("1h", SECOND_MS, 4),
    "1d": Window("1d", 2 * SECOND_MS, 2),
    "24h": Window("24h", 2 * SECOND_MS, 3),
    "7d": Window("7d", 2 * SECOND_MS, 4),
    "4w": Window("4w", 2 * SECOND_MS, 5),
    "30d": Window("30d", 2 * SECOND_MS, 5),
    "": Window("", 2 * SECOND_MS, 5),  # of sessions
}


def fast(group: Group) -> Group:
    """The group with windows of seconds."""

    return replace(group, features=tuple(map(short, group.features)), grace_ms=GRACE_MS)


def short(feature: Feature) -> Feature:
    """The feature over a window of seconds, its delay one of seconds too."""
    read = replace(feature.read, to=SECONDS[feature.read.to.name]) if isinstance(feature.read, Ratio) else feature.read
    over = NO_WINDOW if feature.over is NO_WINDOW else SECONDS[feature.over.name]
    return replace(feature, read=read, over=over, delay_ms=feature.delay_ms and 2 * SECOND_MS)


def fast_flow(flow: Flow) -> Flow:
    """The flow over fast groups; where it meets others, their bags live as long as those of the longest window."""
    join = flow.join and replace(flow.join, meeting=replace(flow.join.meeting, keep_ms=KEEP_MS))
    return replace(flow, groups=tuple(map(fast, flow.groups)), join=join)


def fast_vector(vector: Vector) -> Vector:
    return replace(vector, groups=tuple(map(fast, vector.groups)))


def fast_definitions() -> Definitions:
    """The shop's definitions with every group in fast motion."""
    shop = shop_definitions()
    assert shop.session is not None
    return replace(
        shop,
        flows=tuple(map(fast_flow, shop.flows)),
        vector=fast_vector(shop.vector),
        session=fast_vector(shop.session),
    )


definitions = fast_definitions()
