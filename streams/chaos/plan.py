"""What a chaos run does: how much is fed, what goes wrong and in which order. All of it follows from the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

EVENTS_PER_ORDER = 3.2  # of the stress shop: clicks, carts, labels, copies and garbage beside the orders
BURSTS = 0.5  # share of the events that is sent in bursts, one before each fault; the rest flows steadily
RANGES_PER_BURST = 2  # of each partition: a kill should meet a range in every state
LEAST_RANGE, MOST_RANGE = 25, 2000


class Kind(StrEnum):
    """What can go wrong. `kill` is SIGKILL and a start, `stop` SIGSTOP, a while, and SIGCONT."""

    WORKER_KILL = "worker-kill"
    WORKER_STOP = "worker-stop"  # for three session timeouts: a zombie
    BROKER_KILL = "broker-kill"  # Apache Kafka only: the embedded broker loses its log
    BROKER_STOP = "broker-stop"
    STORE_KILL = "store-kill"
    STORE_STOP = "store-stop"
    NODE_KILL = "node-kill"  # one node of a cluster
    STORE_ROLLBACK = "store-rollback"  # killed and started from files copied some thousand orders ago


LASTS_S: Mapping[Kind, float] = {  # about, to spread the steady flow over the run
    Kind.WORKER_KILL: 6.0,
    Kind.WORKER_STOP: 40.0,
    Kind.BROKER_KILL: 15.0,
    Kind.BROKER_STOP: 15.0,
    Kind.STORE_KILL: 5.0,
    Kind.STORE_STOP: 8.0,
    Kind.NODE_KILL: 6.0,
    Kind.STORE_ROLLBACK: 15.0,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. `mutate` names a safety that is switched off (streams/protocol/safety.py)."""

    orders: int
    workers: int
    seed: int
    faults: tuple[Kind, ...]
    delivery: str = "at-least-once"
    mutate: str = ""
    rollback_orders: int = 20_000  # between the copy and the death of a store that comes back with the copy

    @property
    def kills(self) -> int:
        return self.faults.count(Kind.WORKER_KILL)

    @property
    def loses_state(self) -> bool:
        return Kind.STORE_ROLLBACK in self.faults

    @property
    def burst(self) -> int:
        """Events that are sent at once before each fault, and once to begin with."""
        return max(1, int(self.orders * EVENTS_PER_ORDER * BURSTS / (len(self.faults) + 1)))

    @property
    def flow_s(self) -> float:
        """Events a second of the steady flow."""
        return self.orders * EVENTS_PER_ORDER * (1 - BURSTS) / max(10.0, sum(LASTS_S[kind] for kind in self.faults))

    def range_records(self, partitions: int) -> int:
        """Most records of a range, where bursts go to so many partitions: of a small run smaller ones."""
        return max(LEAST_RANGE, min(MOST_RANGE, self.burst // (partitions * RANGES_PER_BURST)))


def shuffled(kills: int, others: Sequence[Kind], seed: int) -> tuple[Kind, ...]:
    """So many kills of workers and the other faults, in the order that the seed gives."""
    faults = [Kind.WORKER_KILL] * kills + list(others)
    Random(f"chaos/{seed}").shuffle(faults)
    return tuple(faults)
