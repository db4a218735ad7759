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

import numpy as np
import numpy.typing as npt

from features.segments import VALUE_MASK, keyed

Ints = npt.NDArray[np.int64]

LEAST_SPREAD = 8  # places of the log scale, a quarter of a doubling: who always pays the same is not alarmed by cents
NORMAL = 1.4826  # a normal distribution's deviation in median distances


def floors(keep: int, owner: Ints, at: Ints, owners: int, least: Ints) -> Ints:
    """(m,) rows in any order -> (owners,) each one's floor, at least `least`."""
    ordered = np.sort(keyed(owner, at))
    counts = np.bincount(owner, minlength=owners)
    place = np.cumsum(counts) - keep - 1
    many = counts > keep
    found = least.copy()
    found[many] = np.maximum(found[many], ordered[place[many]] & VALUE_MASK)
    return found
