"""Sessions: what a session looked like at its 4th, 8th, 16th, ... event, and what was said of it then.

Workers write them as they write decisions: all fields are functions of the log and the configuration, so a range that
is done again writes the same bytes once more. Hence the promise about readers: of each input partition drop what is not
above the largest offset before it.

All are in one partition, so there is one order in which they came, and who learns from them needs no other. The price:
one broker takes all of them, some 400 bytes each, and about one for six events.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from schemas.decisions import Score

SESSIONS = "sessions"


class SessionVector(Struct, gc=False, frozen=True):
    """A record of `sessions`: a session at one of its milestones. A new field goes to the end."""

    session_id: str
    event_id: str  # of the event at which it was looked at
    events: int  # that the session had come to: 4, 8, 16, ...
    at_ms: int  # event time
    topic: str  # where the event lies
    partition: int
    offset: int
    vector: Sequence[float]  # in the order that feature_hash stands for
    feature_hash: str
    score: Score | None  # how unusual, by the snapshot of the configuration; null: it has none
    config: str
    recovered: bool  # made again after a store had lost its tail: an earlier copy may differ

    @property
    def source(self) -> str:
        """The input partition."""
        return f"{self.topic}/{self.partition}"


_DECODER = msgspec.json.Decoder(SessionVector)


def decode_session(value: bytes) -> SessionVector:
    """A record of `sessions`; raises msgspec.DecodeError on nonsense."""
    return _DECODER.decode(value)
