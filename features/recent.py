"""Recent: the newest few events of an entity, kept one by one so that windows are exact among them.

Of all that is known of an entity the *floor* is the time of its (keep + 1)-th newest event (`Group.event`). What is
later, at most `keep` events and what became of them, is never folded into tiles; what is not may be. More events only
raise the floor, so whoever folded a bag early has kept all that may still be asked for, and every answer is a function
of the events alone:

    later than the floor        in a window iff  at > end - reach                   exactly
    all others                  in a window iff  their tile is (features/window.py)

Both are one cut, since rows lie in time order: the sharp cut where the floor is below it, the tile's edge where the
floor is above that, and the floor between the two. An entity with up to `keep` events in a window has it exact.
The price: 40 bytes an event kept, and a search for the floor.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.segments import VALUE_MASK, keyed

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Floats2d = npt.NDArray[np.float64]

NONE = -1
LEAST_SPREAD = 8  # places of the log scale, a quarter of a doubling: who always pays the same is not alarmed by cents
NORMAL = 1.4826  # a normal distribution's deviation in median distances


def floor_of(ordered: Ints, keep: int) -> int:
    """The floor of events with these times, ascending: NONE where all are kept."""
    return int(ordered[-keep - 1]) if len(ordered) > keep else NONE


def floors(keep: int, owner: Ints, at: Ints, owners: int, least: Ints) -> Ints:
    """(m,) rows in any order -> (owners,) each one's floor, at least `least`."""
    ordered = np.sort(keyed(owner, at))
    counts = np.bincount(owner, minlength=owners)
    place = np.cumsum(counts) - keep - 1
    many = counts > keep
    found = least.copy()
    found[many] = np.maximum(found[many], ordered[place[many]] & VALUE_MASK)
    return found


class Far(NamedTuple):
    """Events of views, by view and time, (m + 1,) with a sentinel; `where` they are among all rows."""

    key: Ints
    where: Ints
    first: Ints  # (e,) of each event's view
    stop: Ints

    def newest(self, nth: int) -> Ints:
        """(e,) time of the view's n-th newest event, from 1; NONE where there are fewer."""
        place = self.stop - nth
        return np.where(place >= self.first, self.key[np.maximum(place, 0)] & VALUE_MASK, NONE)


def floors_seen(keep: int, far: Far, least: Ints, owner: Ints, at: Ints) -> Ints:
    """(e,) the floor of what each event sees: its view, and the events of its own block, (p,) by who sees them."""
    ordered = np.append(np.sort(keyed(owner, at)) & VALUE_MASK, NONE)
    counts = np.bincount(owner, minlength=len(least))
    end = counts.cumsum()
    found = np.maximum(far.newest(keep + 1), least)
    for nth in range(1, min(keep + 1, int(counts.max(initial=0))) + 1):
        mine = np.where(nth <= counts, ordered[end - nth], NONE)
        found = np.maximum(found, np.minimum(mine, far.newest(keep + 1 - nth)) if nth <= keep else mine)
    return found


def cut(tile: Ints, sharp: Ints, floor: Ints) -> Ints:
    """(..., e) where windows begin: at the tile's edge, or exactly, or at what is kept one by one."""
    return np.minimum(np.maximum(floor + 1, sharp), tile)


def against_usual(place: Ints, kept: Floats2d) -> tuple[Floats, Floats]:
    """(e,) how far each event's place is from the median of those that it sees, and how far these are, by median.

    `kept` (e, k) are the places that each one sees, filled up with inf; 0 where it sees none. All on the log scale.
    """
    middle = _medians(kept)
    with np.errstate(invalid="ignore"):  # inf - inf where nothing is seen
        spread = _medians(np.abs(kept - middle[:, None]))
        away = place - middle
    some = np.isfinite(middle)
    return np.where(some, away, 0.0), np.where(some, spread, 0.0)


def _medians(values: Floats2d) -> Floats:
    """(e,) the median of the finite values of each row; inf where there is none."""
    ordered = np.sort(values, axis=1)
    counts = np.isfinite(ordered).sum(axis=1)
    rows = np.arange(len(ordered))
    low, high = (
        ordered[rows, np.maximum(counts - 1, 0) // 2],
        ordered[rows, np.minimum(counts // 2, ordered.shape[1] - 1)],
    )
    middle: Floats = (low + high) / 2.0
    return middle
