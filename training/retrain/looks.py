"""Looks: what was last seen of the champion, kept beside the registry's runs, for whoever asks how things stand.

The price: one file that each look writes over; it says when it was written, and nothing depends on it.
"""

from __future__ import annotations

import json
from typing import Any, Final

from storage.places import Place
from training.batch.drift import MUCH
from training.retrain.triggers import Due, Seen

PATH: Final = "_retrain/seen.json"
_NAMED: Final = 5  # columns


def keep(place: Place, seen: Seen, due: Due) -> None:
    """Writes it down."""
    place.commit(PATH, json.dumps(told(seen, due), indent=2).encode())


def told(seen: Seen, due: Due) -> dict[str, Any]:
    """What a look found, for people and for programs."""
    moved = {name: round(value, 3) for name, value in seen.drift.items() if value > MUCH}
    return {
        "at_ms": seen.now_ms,
        "champion": seen.champion,
        "orders": seen.orders,
        "frauds": seen.frauds,
        "new_frauds": seen.new_frauds,
        "drift": {"columns": len(seen.drift), "moved": len(moved), "most": dict(list(moved.items())[:_NAMED])},
        "ap_by_its_card": seen.then.as_json() if seen.then else None,
        "ap_on_newer_days": seen.newer.as_json() if seen.newer else None,
        "due": [one.about() for one in due.triggers],
        "blocked": list(due.blocked),
    }


def last(place: Place) -> dict[str, Any] | None:
    """What was last written down; None where nobody has looked."""
    try:
        with place.open(PATH) as raw:
            found: dict[str, Any] = json.loads(raw.read())
    except FileNotFoundError:
        return None
    return found
