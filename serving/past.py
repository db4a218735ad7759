"""An order against its account's own past, for people: out of the logged vector, whatever model decided.

What a column says of a window counts the order itself, which says nothing of the past: it is taken out here. Columns
that the definitions have not are left out, so a shop of other features has fewer lines, or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

PACES: Final = (  # what, the column, that of a longer window, and how often the one fits into the rest of the other
    ("orders within an hour", "user_count_1h", "user_count_7d", 167),
    ("orders within a day", "user_count_24h", "user_count_30d", 29),
)
NEW: Final = {
    "user_new_device_30d": "device",
    "user_new_country_30d": "country",
    "user_new_merchant_30d": "merchant",
}


@dataclass(frozen=True, slots=True)
class Line:
    """What is told, of this order and of the account before it; `usual` is None where there was nothing before."""

    what: str
    now: float
    usual: float | None


@dataclass(frozen=True, slots=True)
class Past:
    """`first` names what the account has not had within thirty days: a device, a country, a merchant. Of one that had
    no order within them (`is_new`) there is nothing else to say.
    """

    is_new: bool
    lines: tuple[Line, ...]
    first: tuple[str, ...]


def past_of(told: Mapping[str, float]) -> Past:
    """`told`: the vector, by column."""
    if told.get("user_count_30d") == 1.0:  # the order itself
        return Past(True, (), ())
    return Past(False, tuple(_lines(told)), tuple(what for name, what in NEW.items() if told.get(name) == 1.0))


def _lines(told: Mapping[str, float]) -> Iterator[Line]:
    if {"order_amount", "user_count_30d", "user_sum_30d"} <= told.keys():
        before, amount = told["user_count_30d"] - 1, told["order_amount"]
        yield Line("amount", amount, (told["user_sum_30d"] - amount) / before if before > 0 else None)
    for what, short, long, times in PACES:
        if short in told and long in told:
            before = told[long] - told[short]
            yield Line(what, told[short], before / times if before > 0 else None)
