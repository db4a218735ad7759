"""Milestones: the moments at which a session's vector is written down, its 4th, 8th, 16th, ... event.

So a session costs a handful of records however long it is, needs no timer that says when it has ended, and a bot is
looked at while it is at work. What a session is after three events says nothing yet. The count is that of the
session's vector, so it is of all topics and as far as they are known: an event of a topic that has no such vector, an
order, may be the 8th itself, and the session is then looked at again at its 16th.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from features.columns import Floats, Ints

FIRST: Final = 4


def at_milestone(events: Floats) -> Ints:
    """(n,) events of each row's session, whole numbers -> the rows at which it has come to a milestone."""
    count = events.astype(np.int64)
    return np.flatnonzero((count >= FIRST) & (count & (count - 1) == 0))
