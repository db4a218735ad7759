"""What differs between Apache Kafka and the embedded broker, in one value each.

Each number was measured; where it came from stands beside it. Nothing else in the transport asks which broker it is
talking to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from streams.transport.log import LogReader

Kind = Literal["auto", "kafka", "embedded"]
EMBEDDED_CLUSTER = "tansu_cluster"  # what the embedded broker calls its cluster


@dataclass(frozen=True, slots=True)
class Profile:
    """How to talk to one kind of broker."""

    name: Literal["kafka", "embedded"]
    session_timeout_ms: int
    heartbeat_ms: int
    rebalance_timeout_ms: int  # how long the group waits for a member that finishes what is in hand
    fetch_wait_ms: int  # how long a fetch may wait for records: also how long an empty partition may hold up a full one
    static_members: bool
    idempotent: bool
    transactions: bool
    checks_session: bool  # whether the broker can be asked for the sessions it allows

    def with_(self, *, session_timeout_ms: int | None = None, fetch_wait_ms: int | None = None) -> Profile:
        """The same with what the user has set; heartbeats follow the session, a third of it at most."""
        session = session_timeout_ms or self.session_timeout_ms
        return replace(
            self,
            session_timeout_ms=session,
            heartbeat_ms=min(self.heartbeat_ms, session // 3),
            fetch_wait_ms=self.fetch_wait_ms if fetch_wait_ms is None else fetch_wait_ms,
        )


# Session 6 s, the least that Kafka allows, with static membership: a killed worker is back in 1.1-2.4 s and the others
# never stop. Fetch wait: 500 ms gave 44-46k events/s, 20 ms 74k, 5 ms 84k, 20 ms with 4 MB a partition up to 93k.
KAFKA = Profile(
    name="kafka",
    session_timeout_ms=6_000,
    heartbeat_ms=1_000,
    rebalance_timeout_ms=15_000,
    fetch_wait_ms=5,
    static_members=True,
    idempotent=True,
    transactions=True,
    checks_session=True,
)

# It answers a join after half the session (1 s here; 6 s, always, to a static member), does not wake a waiting fetch,
# and refuses aiokafka's InitProducerId.
EMBEDDED = Profile(
    name="embedded",
    session_timeout_ms=2_000,
    heartbeat_ms=300,
    rebalance_timeout_ms=6_000,
    fetch_wait_ms=20,
    static_members=False,
    idempotent=False,
    transactions=False,
    checks_session=False,
)

PROFILES = {"kafka": KAFKA, "embedded": EMBEDDED}


async def profile_of(kind: Kind, log: LogReader) -> Profile:
    """The profile named, or for `auto` the one that fits the cluster that answers."""
    if kind == "auto":
        kind = "embedded" if await log.cluster() == EMBEDDED_CLUSTER else "kafka"
    return PROFILES[kind]
