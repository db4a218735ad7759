"""Which column goes to which encoder, by its name; how columns are squashed is learned from the training rows.

The table is short because names say whose a feature is. A name that no line fits (a vector of one's own) is taken as
said by the order itself. A vector without `user_recent_*` gives a network without a sequence: what is known of the
user is then what the windows say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from models.exact import Floats, inverse_log2_line, log2_line
from models.network_inputs import GAP, PARTS, RECENT, Inputs, Read

PREFIXES: Final = (
    ("order_", "transaction"),
    ("merchant_", "transaction"),
    ("product_", "transaction"),
    ("category_", "transaction"),
    ("shop_", "transaction"),
    ("user_", "user"),
    ("device_", "device"),
    ("ip_", "device"),
    ("subnet_", "device"),
    ("card_", "device"),
    ("visitor_", "device"),
    ("session_", "device"),
)
DIGITS: Final = 6  # significant ones of what is kept of a column
_REACHED: Final = 30  # rows that went as far: beyond them an input is clipped
_SHARE: Final = 20  # where rows are few, one in so many is enough
_FLAT: Final = 1e-9  # a column whose squashed spread is below this never varies


def part_of(name: str) -> str:
    """One of PARTS, or "recent" for a step of the sequence."""
    if RECENT.fullmatch(name):
        return "recent"
    return next((part for prefix, part in PREFIXES if name.startswith(prefix)), PARTS[0])


def learn(x: Floats, names: Sequence[str]) -> Inputs:
    """The inputs for (n, d) training rows: those columns that vary, with what is usual and how far they go.

    A channel of the sequence means the same whichever step it is at, so its steps are measured together, over the
    orders that there were. Raises ValueError where no column varies.
    """
    place = {name: at for at, name in enumerate(names)}
    reads = list[Read]()
    for name, at in place.items():
        if (part := part_of(name)) != "recent":
            reads += _measured([name], part, x[:, at])
    if not reads:
        raise ValueError(f"none of {len(names)} columns varies over {len(x)} rows: want rows of different orders")
    for steps in _channels(names):
        reads += _measured(steps, "recent", _present(x, place, steps))
    return Inputs(reads, names)


def _channels(names: Sequence[str]) -> Iterator[list[str]]:
    """The names of each channel's steps."""
    found = [match for name in names if (match := RECENT.fullmatch(name))]
    for channel in dict.fromkeys(match["channel"] for match in found):
        yield [match[0] for match in found if match["channel"] == channel]


def _present(x: Floats, place: dict[str, int], steps: Sequence[str]) -> Floats:
    """Values of a channel at all steps where there was an order."""
    told = []
    for name in steps:
        match = RECENT.fullmatch(name)
        gap = f"user_recent_{GAP}_{match['step']}" if match else name
        if gap not in place:
            raise ValueError(f"the vector has {name} and not {gap}, which says whether there was such an order: add it")
        told.append(x[x[:, place[gap]] >= 0.0, place[name]])
    return np.concatenate(told)


def _measured(names: Sequence[str], part: str, values: Floats) -> list[Read]:
    """One column, or the steps of a channel, by its training values; nothing where these do not vary."""
    if not len(values):
        return []
    rows = min(_REACHED, 1 + len(values) // _SHARE)
    low, high = np.partition(values, (rows - 1, len(values) - rows))[[rows - 1, len(values) - rows]].tolist()
    line = log2_line(np.clip(values, low, high))
    if (spread := float(line.std())) <= _FLAT:
        return []
    low, high, usual = _short(low), _short(high), _short(inverse_log2_line(float(line.mean())))
    return [Read(name, part, min(max(usual, low), high), _short(spread), low, high) for name in names]


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
