"""What a state space takes in the store, predicted from its definitions and from how many there are of everything.

    definitions, demand -> representative bags (features/budget.py) -> bytes of keys (stores/memory.py) -> rows

What an operator does not tell is assumed (`assumed`). Bytes are those that the server counts as its own
(`used_memory`); what the allocator loses between them, replication, and the copy that rewrites the append-only file are
to be added: docs/budget.md. The price: a prediction, good to 15 % where the demand is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import orjson

from features.budget import ENTRY, FEW, MOST_RAW, SAMPLES, Population, Sample, Visits, largest_bag, sampled
from features.definitions import Definitions, Flow
from features.group import Group
from features.join import STAMP_BYTES, Meeting, added
from features.window import DAY_MS
from streams.growth import EVERY
from streams.protocol.ports import Limits, Stop
from streams.space import ttls_of
from streams.stores.memory import Allocator, ids_bytes, key_bytes, tables_bytes

LARGEST_BAG = 16 * 1024  # bytes: a range brings each of its bags to the worker and back
KNOWN_FROM = 0.1  # counterparties for each of us from which on we deal with our own alone
PLACE_BYTES = 170  # of a partition on each shard: position, note and number
EMPTY_BYTES = 1_500_000  # of a server with nothing in it but our functions
RANGES_A_SECOND = 20.0  # of a partition that keeps up
UNDER_WAY = 0.5  # of the partitions have a range under way when one does: 2.9 of 4 where they keep up side by side
MOST_RANKS = 1_000_000


@dataclass(frozen=True)
class Demand:
    """How many there are. `count`: entities by column of ids; of those in `fleeting`, how many come a day.

    `events`: a day, by topic; `several`: entities of an event, where it has not one. `since_days`: how long the system
    has run. `deals`: different counterparties of an entity, by `entity.counterparty`. `kept`: nothing has expired yet.
    """

    count: Mapping[str, float]
    events: Mapping[str, float]
    fleeting: frozenset[str] = frozenset()
    several: Mapping[str, float] = field(default_factory=dict)
    deals: Mapping[str, float] = field(default_factory=dict)
    skew: float = 0.8
    since_days: float = 365.0
    id_bytes: int = 12
    kept: bool = False


@dataclass(frozen=True)
class Server:
    """What of the store matters here."""

    shards: int = 16
    partitions: int = 4
    limits: Limits = field(default_factory=Limits)
    allocator: Allocator = "jemalloc"
    records_a_range: float | None = None  # None: those of a worker that keeps up

    def records(self, events_a_day: float) -> float:
        """In a range of a topic with so many events a day."""
        kept_up = events_a_day / self.partitions / 86_400 / RANGES_A_SECOND
        return max(kept_up if self.records_a_range is None else self.records_a_range, 1.0)


@dataclass(frozen=True)
class Row:
    """What one kind of record takes. Bytes of a bag are its own, `key_bytes` those with all that the server adds."""

    name: str
    keys: float
    bag_bytes: float  # on average
    bag_p95: int
    bag_most: int  # the largest that its definition can come to; 0: no bag of a group
    key_bytes: float  # on average, without the tables of keys
    total_bytes: float


@dataclass(frozen=True)
class Budget:
    """All of it."""

    rows: tuple[Row, ...]
    tables_bytes: float
    unknown: tuple[str, ...]  # kinds of record that nothing could be said of

    @cached_property
    def keys(self) -> float:
        return sum(row.keys for row in self.rows)

    @cached_property
    def total_bytes(self) -> float:
        return sum(row.total_bytes for row in self.rows) + self.tables_bytes + EMPTY_BYTES


def predict(
    definitions: Definitions,
    demand: Demand,
    server: Server,
    specimens: Mapping[str, bytes] | None = None,
    samples: int = SAMPLES,
) -> Budget:
    """The budget; `specimens` has a record of each topic that leaves something where flows meet.

    `samples` bags of each group are made: with 75 it takes half a second, and the total stands within 4 %.
    """
    ttls = ttls_of(definitions)
    life = {name: round(demand.since_days * DAY_MS) if demand.kept else ttl for name, ttl in ttls.items()}
    rows = [_of_group(definitions, group, demand, server, life[group.name], samples) for group in definitions.groups]
    unknown = []
    for meeting in definitions.meetings:
        row = _of_meeting(definitions, meeting, demand, server, life[meeting.name], specimens or {})
        if row is None:
            unknown.append(meeting.name)
        else:
            rows.append(row)
    rows += [_ids(definitions, demand, server), _places(definitions, server)]
    return Budget(tuple(rows), tables_bytes(sum(row.keys for row in rows)), tuple(unknown))


def _of_group(definitions: Definitions, group: Group, demand: Demand, server: Server, ttl_ms: int, samples: int) -> Row:
    of, since_ms = _population(definitions, group, demand), round(demand.since_days * DAY_MS)
    sample = sampled(group, of, ttl_ms, since_ms, _wait(definitions, group, demand, server), samples=samples)
    return _row(group.name, sample, largest_bag(group), demand, server)


def _wait(definitions: Definitions, group: Group, demand: Demand, server: Server) -> float:
    """How many ranges touch a bag of the group for one that looks whether it is over its cap (streams/growth.py).

    One looks after so many records, or because the bag that most events touch has too many entries; that one is found
    so by the ranges of several partitions, all that are under way until it is folded.
    """
    flow = max((f for f in definitions.flows if group in f.groups), key=lambda f: demand.events[f.topic])
    busiest = max(_busiest(demand, one) for one in flow.groups)
    looking = max(UNDER_WAY * server.partitions, 1.0)
    return max(min(EVERY, MOST_RAW / busiest / looking) / server.records(demand.events[flow.topic]), 1.0)


def _busiest(demand: Demand, group: Group) -> float:
    """The share of events that the busiest entity of a group has."""
    if group.entity in demand.fleeting:
        return 1e-9
    ranks = np.arange(1, max(int(min(demand.count[group.entity], MOST_RANKS)), 1) + 1)
    return float(1 / (ranks**-demand.skew).sum())


def _population(definitions: Definitions, group: Group, demand: Demand) -> Population | Visits:
    entity = group.entity
    flows = [flow for flow in definitions.flows if group in flow.groups]
    events = sum(demand.events[flow.topic] for flow in flows) * demand.several.get(entity, 1.0)
    deals = {other: dealt_with(demand, entity, other) for other in group.others}
    if entity in demand.fleeting:
        return Visits(demand.count[entity], events / max(demand.count[entity], 1e-9), deals=deals)
    return Population(demand.count[entity], events, demand.skew, deals)


def dealt_with(demand: Demand, entity: str, other: str) -> float:
    """How many different counterparties an entity has: as told; its share of them; FEW, where all share a few."""
    if (told := demand.deals.get(f"{entity}.{other}")) is not None:
        return told
    if other not in demand.count or other in demand.fleeting or entity in demand.fleeting:
        return FEW
    share = demand.count[other] / demand.count[entity]
    return max(share, 1.0) if share >= KNOWN_FROM else min(FEW, demand.count[other])


def _row(name: str, sample: Sample, most: int, demand: Demand, server: Server, entry: int = ENTRY) -> Row:
    key = _key(name, demand, server)
    each = key_bytes(key, sample.length, sample.written, entry, server.allocator)
    total = float((each * sample.weight).sum())
    return Row(name, sample.keys, sample.mean, sample.quantile(0.95), most, total / max(sample.keys, 1e-9), total)


def _key(name: str, demand: Demand, server: Server) -> float:
    """Bytes of a key: `{12}user:u-1187`."""
    digits = sum(len(str(shard)) for shard in range(server.shards)) / server.shards
    return digits + len("{}:") + len(name) + demand.id_bytes


# ---- what is no bag of a group


def _of_meeting(
    definitions: Definitions,
    meeting: Meeting,
    demand: Demand,
    server: Server,
    ttl_ms: int,
    specimens: Mapping[str, bytes],
) -> Row | None:
    """Bags in which flows meet: one for each event of the flow with the most, and what the others leave in some."""
    flows = [flow for flow in definitions.flows if flow.join is not None and flow.join.meeting == meeting]
    if any(flow.topic not in specimens for flow in flows):
        return None
    days = min(ttl_ms / DAY_MS, demand.since_days)
    chunks = {flow.topic: _chunk(flow, specimens[flow.topic]) for flow in flows}
    first, *later = sorted(flows, key=lambda flow: -demand.events[flow.topic])
    keys = demand.events[first.topic] * days
    later = [flow for flow in later if demand.events[flow.topic]]
    some = max((demand.events[flow.topic] for flow in later), default=0.0) * days
    written = np.array([chunks[first.topic]] * 2)
    length = written + np.array([0, sum(chunks[flow.topic] for flow in later)])
    sample = Sample(np.array([max(keys - some, 0.0), min(some, keys)]), length, written)
    return _row(meeting.name, sample, 0, demand, server, max(chunks.values()))


def _chunk(flow: Flow, specimen: bytes) -> int:
    """Bytes that a record leaves in its bag."""
    assert flow.join is not None
    decoded = flow.decode([specimen])
    if decoded.faults:
        raise ValueError(f"the specimen of {flow.topic!r} is refused: {decoded.faults[0]}")
    _, _, (payload,) = added(flow.join, flow.columns(decoded.events, decoded.at_ms), 0)
    return STAMP_BYTES + len(payload)


def _ids(definitions: Definitions, demand: Demand, server: Server) -> Row:
    """The logs of ids, by which duplicates are told."""
    limits, total, keys = server.limits, 0.0, 0
    for flow in [flow for flow in definitions.flows if demand.events[flow.topic]]:
        a_second = demand.events[flow.topic] / server.partitions / 86_400
        ids = min(a_second * min(limits.dedup_s, demand.since_days * 86_400), limits.dedup_offsets)
        total += server.partitions * ids_bytes(ids, server.records(demand.events[flow.topic]))
        keys += server.partitions
    each = total / max(keys, 1)
    return Row("ids", keys, each, 0, 0, each, total)


def _places(definitions: Definitions, server: Server) -> Row:
    """Positions, notes, constants."""
    total = float(server.shards * server.partitions * len(definitions.flows) * PLACE_BYTES)
    keys = 3 * server.shards
    return Row("places", keys, total / keys, 0, 0, total / keys, total)


# ---- the shop


def assumed(users: float, orders: float) -> Demand:
    """What is assumed of a shop of so many users with so many orders a day."""
    count = {
        "user": users, "card": users, "device": 1.5 * users, "ip": users, "subnet": max(users / 8, 1.0),
        "merchant": 1.0, "products": 10_000.0, "categories": 100.0, "shop": 1.0, "visitor": 2.0 * users,
        "session": 4.0 * orders,
    }  # fmt: skip
    events = {
        "orders": orders,
        "clickstream": 20 * orders,
        "cart": 3 * orders,
        "labels": orders / 100,
        "outcomes": orders / 100,
    }
    deals = {"merchant.user": users, "merchant.card": users, "session.product": 6.0}
    return Demand(count, events, frozenset({"session"}), {"products": 1.5, "categories": 1.2}, deals)


def specimens(id_bytes: int = 12) -> Mapping[str, bytes]:
    """A record of each topic of the shop that leaves something in the bag of an order, with ids of this length."""
    id_ = "0" * id_bytes
    event = {"event_id": id_, "event_time": "2026-11-21T12:00:00.000Z", "order_id": id_}
    ids = dict.fromkeys(("user_id", "card_id", "device_id", "ip", "merchant_id"), id_)
    items = [{"item_id": id_, "item_name": "thing", "price": 10.0, "quantity": 1}]
    turn = {"v": 1, "decision_id": "0" * 32, "turn": 1, "fraud": True, "delta": 1, "products": [id_]}
    made = {
        "orders": {"type": "purchase", **event, **ids, "value": 10.0, "currency": "EUR", "items": items},
        "labels": {"type": "chargeback", **event},
        "outcomes": {"type": "outcome", **event, **ids, **turn},
    }
    return {topic: orjson.dumps(one) for topic, one in made.items()}


# ---- what bounds a bag


def check_bounds(definitions: Definitions, largest: Callable[[Group], int] = largest_bag) -> None:
    """Raises Stop for a group whose bag may become larger than LARGEST_BAG, naming the features that make it so."""
    for group in definitions.groups:
        if (most := largest(group)) > LARGEST_BAG:
            raise Stop(
                f"group {group.name!r}: a bag may come to {most:,} bytes and at most {LARGEST_BAG:,} are carried: "
                f"{', '.join(_heaviest(group, largest))} takes most of it; count fewer exactly (exact=), use coarser "
                "tiles or shorter windows, or give it a group of its own"
            )


def _heaviest(group: Group, largest: Callable[[Group], int]) -> Iterator[str]:
    """The features without whose read or window the bag would be smallest."""
    sizes = {}
    for feature in group.features:
        rest = tuple(f for f in group.features if f.read != feature.read or f.over != feature.over)
        try:
            sizes[feature.column(group.name)] = largest(replace(group, features=rest))
        except ValueError:  # it is the last window, or what the others need
            continue
    least = min(sizes.values(), default=0)
    yield from [name for name, size in sizes.items() if size == least][:1] or [group.columns[0]]
