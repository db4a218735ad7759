"""What must hold when the world has come to rest: the promises of docs/protocol.md, each looked at by the naive way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from features.join import records_of
from streams.protocol.ports import Row, Tp
from tests.simulation.log import KEYS, Partition, weight
from tests.simulation.meet import state
from tests.simulation.work import MASK, MEETS, Decision, Seen, meaning, shard_of
from tests.simulation.world import World


class BrokenPromiseError(AssertionError):
    """A promise with the thing that breaks it."""


def check(world: World) -> None:
    """All promises; P7 was the draining. Counts the holes of P2 that the docs admit."""
    everything = [*world.past, *world.partitions]
    _state(world, everything)
    for partition in everything:
        _decided(world, partition)
        _same_bytes(world, partition)
    if world.meets:
        _met(world, everything)
    if not world.rolled_back:
        _replay(world, everything)


def _met(world: World, everything: Iterable[Partition]) -> None:
    """P9: what was told of each order, each turn counted once, is what its newest label says; and the bags know it."""
    records: dict[str, list[bytes]] = {}
    for partition in everything:
        for record in partition.fresh():
            if record.meets is not None:
                records.setdefault(record.meets[0], []).append(record.meets[1])
    bags = world.store.bags()
    for order_id, of_order in records.items():
        want = state(of_order)
        found = state(records_of(bags.get(MEETS + order_id.encode())))
        if found != want:
            raise BrokenPromiseError(f"P3: the bag of order id {order_id} says {found}, its events {want}")
        if any(bool(want.turns.get(order.decision, 0) % 2) != want.fraud for order in want.orders):
            raise BrokenPromiseError(
                f"P9: of order id {order_id} {want.turns} was told, {want.label} is its newest label"
            )
    _counted_once(world, everything)


def _counted_once(world: World, everything: Iterable[Partition]) -> None:
    """P9: of each order the turns 1 to n are accepted, each of them once."""
    turns: dict[str, list[int]] = {}
    for partition in everything:
        for record in partition.fresh() if partition.tp.topic == "outcomes" else ():
            assert record.meets is not None
            for decision, turn in state([record.meets[1]]).turns.items():
                turns.setdefault(decision, []).append(turn)
    for decision, told in turns.items():
        world.counts.turns += len(told)
        if sorted(told) != list(range(1, len(told) + 1)):
            raise BrokenPromiseError(f"P9: of the order of decision {decision} the turns {told} were accepted")


def _decided(world: World, partition: Partition) -> None:
    """P1, P4, P8."""
    decisions = world.published[partition.tp].decisions
    want = {r.offset: r.event_id for r in partition.fresh()} if partition.scored else {}
    got = Counter(d.offset for d in decisions)
    world.counts.orders += len(want)
    for offset in want:
        if not got[offset]:
            raise BrokenPromiseError(f"P1: order {partition.tp}@{offset} has no decision")
    for decision in decisions:
        if want.get(decision.offset) != decision.event_id:
            raise BrokenPromiseError(f"P4: {partition.tp}@{decision.offset} is not an order to decide")
    if world.exactly_once and decisions and max(got.values()) > 1:
        offset = max(got, key=lambda o: got[o])
        raise BrokenPromiseError(f"P8: order {partition.tp}@{offset} is decided {got[offset]} times")


def _same_bytes(world: World, partition: Partition) -> None:
    """P2."""
    first: dict[int, Decision] = {}
    for decision in world.published[partition.tp].decisions:
        known = first.setdefault(decision.offset, decision)
        if decision == known and (world.rolled_back or not decision.recovered):
            continue
        if not world.rolled_back:
            raise BrokenPromiseError(f"P2: {partition.tp}@{decision.offset}: {known} then {decision}, no rollback")
        if decision.recovered:
            continue
        if not world.exactly_once and partition.tp in world.two_owners:
            world.counts.holes = 1  # the hole the docs admit: two live owners at the moment of the rollback
            continue
        raise BrokenPromiseError(f"P2: {partition.tp}@{decision.offset}: {known} then {decision}, not marked")


def _state(world: World, everything: Iterable[Partition]) -> None:
    """P3, P6: each bag means what one clean pass would have left there."""
    want = dict.fromkeys(KEYS, (0, 0))
    for partition in everything:
        for record in partition.fresh():
            for key in record.keys:
                want[key] = _plus(want[key], partition, record.offset)
    bags = world.store.bags()
    for key in KEYS:
        if meaning(bags.get(key)) != want[key]:
            raise BrokenPromiseError(f"P3: bag {key!r} means {meaning(bags.get(key))}, one clean pass {want[key]}")


def _plus(seen: Seen, partition: Partition, offset: int) -> Seen:
    return seen[0] + 1, (seen[1] + weight(partition.number, offset)) & MASK


def _replay(world: World, everything: list[Partition]) -> None:
    """P5: in the order that the rows give, each decision saw exactly what had been applied before it."""
    by_tp = {partition.tp: partition for partition in everything}
    rows = {(tp, row.first): (tp, row) for tp, published in world.published.items() for row in published.rows}
    vectors: dict[tuple[Tp, int], dict[bytes, Seen]] = {}
    for key in KEYS:
        shard = shard_of(key, world.store.shards)
        seen: Seen = (0, 0)
        for tp, row in sorted(rows.values(), key=lambda r: r[1].numbers[shard]):
            seen = _through(by_tp[tp], row, key, seen, vectors)
    for tp, published in world.published.items():
        for decision in published.decisions:
            want = vectors[tp, decision.offset]
            if dict(decision.vector) != want:
                raise BrokenPromiseError(f"P5: {tp}@{decision.offset} saw {decision.vector}, the replay {want}")


def _through(
    partition: Partition, row: Row, key: bytes, seen: Seen, vectors: dict[tuple[Tp, int], dict[bytes, Seen]]
) -> Seen:
    for record in partition.fresh():
        if row.first <= record.offset <= row.last and key in record.keys:
            seen = _plus(seen, partition, record.offset)
            vectors.setdefault((partition.tp, record.offset), {})[key] = seen
    return seen
