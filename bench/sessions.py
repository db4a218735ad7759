"""Unusual sessions: what they cost a click, and how many of the attacks that the simulated shop plants are told of.

    python -m bench.sessions [--events 150000] [--seed 11] [--figure]

The work of the worker on a partition's ranges, without Kafka and with bags in a dictionary. What is learned is scored
before it is learned, by snapshots that are at most ten minutes of the shop's time old. The shop is ours, and so are its
attacks: that these are found says that the machinery works, not how good it is on yours.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any, Final

import numpy as np

from bench import figure
from bench.figure import hash_of
from bench.hotpath import Memory
from features.columns import Columns, Floats, Floats2d
from features.definitions import Definitions
from features.entry import stamped
from features.shop import SESSION, SESSION_NAMES, VISITOR, session_vector, shop_definitions
from features.vector import Vector
from models import artefact
from models.rules import UNUSUAL_AT
from models.sessions import SESSIONS, Sessions
from schemas.sessions import SessionVector, decode_session
from simulation.event import Event, Truth
from simulation.shop import Plan, Shop
from streams.configuration import Configuration, configured, of_folder, rules_text
from streams.configurations import Configurations
from streams.outputs import RangeOutputs, Writer
from streams.protocol.ports import Batch, Open, ShardBags, Tp
from streams.work import RangeWork
from training.metrics import Scored
from training.online.sessions import SessionLearner

SHARDS: Final = 16
START_MS: Final = 1_800_000_000_000
SNAPSHOT_MS: Final = 600_000
WARM: Final = 1_500  # vectors, before which nothing is told of
TARGET: Final = "every bot is told of, and of the sessions of people one in 500 at most"
RANGES: Final = (18, 250, 1_000)
SHOP: Final = shop_definitions()


async def _nothing(_: str) -> bytes | None:
    return None


@dataclass
class Partition:
    """A topic's work, by a configuration."""

    work: RangeWork
    config: str

    @classmethod
    def of(cls, topic: str, definitions: Definitions, own: Configuration) -> Partition:
        tp, flow = Tp(topic, 0, "t"), next(flow for flow in definitions.flows if flow.topic == topic)
        writer = Writer(tp, same_partitions=True, feature_hash=definitions.vector.hash)
        return cls(RangeWork(tp, flow, definitions, SHARDS, Configurations(definitions, own, _nothing), writer), own.id)

    def does(self, records: Sequence[Memory], bags: dict[bytes, bytes], number: int) -> tuple[RangeOutputs, float]:
        """What the range publishes, and the seconds of CPU that it took; `bags` are left as they are."""
        first, began = records[0].offset, time.process_time()
        prepared = self.work.prepare(Batch(first, records))
        calls = self.work.calls(prepared, {}, first)
        took = time.process_time() - began
        found = [ShardBags(number, [bags.get(key) for key in call.keys]) for call in calls]
        began = time.process_time()
        out = self.work.decide(
            prepared, Open(first, records[-1].offset, self.config, {}, b"t", False, True), found, False
        )
        return out, took + time.process_time() - began

    def adds(self, records: Sequence[Memory], bags: dict[bytes, bytes], number: int) -> None:
        """As the store would."""
        prepared = self.work.prepare(Batch(records[0].offset, records))
        for call in self.work.calls(prepared, {}, records[0].offset):
            for key, payload, size in zip(call.keys, call.payloads, call.sizes, strict=True):
                bags[key] = bags.get(key, b"") + stamped(payload, number.to_bytes(8, "big"), size)


def events(seed: int, every_s: float) -> Iterator[Event]:
    """Clicks and carts of a shop with an attack every so often, in the order of time."""
    shop = Shop(Plan(seed=seed, visits_per_s=5.0, first_attack_s=600.0, attack_every_s=every_s), START_MS)
    return (event for event in shop.events() if event.topic in ("clickstream", "cart"))


def ranges(log: Iterator[Event], most: int) -> Iterator[tuple[str, list[tuple[Memory, Event]]]]:
    """Runs of one topic, as records with offsets of their own."""
    offsets: defaultdict[str, int] = defaultdict(int)
    for topic, run in groupby(log, key=lambda event: event.topic):
        while some := list(islice(run, most)):
            first = offsets[topic]
            offsets[topic] += len(some)
            yield topic, [(Memory(first + n, e.at_ms, e.key, e.value), e) for n, e in enumerate(some)]


def own(sessions: Sessions | None, definitions: Definitions = SHOP) -> Configuration:
    """The shop's configuration, with a model of sessions or without."""
    return configured(
        definitions, rules_text(definitions, None), replace(of_folder(definitions, None), sessions=_kept(sessions))
    )


def _kept(sessions: Sessions | None) -> artefact.Artefact | None:
    if sessions is None:
        return None
    vector = session_vector()
    about: dict[str, Any] = {"feature_hash": vector.hash, "metrics": {}, "data": {}, "seed": 0, "revision": ""}
    return artefact.parse(artefact.pack(sessions, name=SESSIONS, version="1", **about), vector.names, vector.hash)


# ---- how many are told of


def written(count: int, seed: int) -> Iterator[tuple[SessionVector, Truth]]:
    """The records of `sessions`, with what is behind each."""
    parts, bags = (
        {topic: Partition.of(topic, SHOP, own(None)) for topic in ("clickstream", "cart")},
        dict[bytes, bytes](),
    )
    for number, (topic, some) in enumerate(ranges(islice(events(seed, 60.0), count), 250), 1):
        records = [record for record, _ in some]
        truth = {event.event_id: event.truth for _, event in some}
        out, _ = parts[topic].does(records, bags, number)
        parts[topic].adds(records, bags, number)
        made = [decode_session(one.value or b"") for one in out.records if one.topic == SESSIONS]
        yield from ((one, truth[one.event_id]) for one in made)


def quality(count: int, seed: int) -> tuple[dict[str, Any], Sessions]:
    """By kind of session how many were looked at and told of; and what was learned in the end."""
    vector, learner = session_vector(), SessionLearner(session_vector().names)
    scorer, kept_ms, seen = learner.scorer(vector.names), START_MS, 0
    best: dict[str, float] = {}
    kind: dict[str, Truth] = {}
    for one, truth in written(count, seed):
        if one.at_ms - kept_ms >= SNAPSHOT_MS:
            scorer, kept_ms = learner.scorer(vector.names), one.at_ms
        x, seen = np.array([one.vector]), seen + 1
        if seen > WARM:
            best[one.session_id] = max(best.get(one.session_id, 0.0), float(scorer.score(x)[0]))
            kind[one.session_id] = truth
        learner.learn_many(x, np.zeros(1, dtype=np.bool_))
    return _told(best, kind) | {"vectors": seen}, learner.scorer(vector.names)


def _told(best: Mapping[str, float], kind: Mapping[str, Truth]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    score, truth = np.array([*best.values()]), np.array([kind[one].value for one in best])
    people = truth == Truth.NORMAL.value
    for name in sorted(set(truth.tolist())):
        of = truth == name
        told[name] = {"sessions": int(of.sum()), "told": int((score[of] >= UNUSUAL_AT).sum())}
        if name != Truth.NORMAL.value:
            both = people | of
            n = int(both.sum())
            told[name]["auc"] = round(Scored(score[both], of[both], np.arange(n), np.zeros(n, np.int64)).auc(), 4)
    return told


# ---- what it costs


def cost(sessions: Sessions, clicks: int, seed: int) -> dict[str, Any]:
    """us of CPU a click, by the size of a range: for rules alone, with what is written down, and with a model too."""
    alone = replace(SHOP, session=Vector(SESSION_NAMES, (SESSION,), _five), milestones=None)
    ways = {
        "rules alone": Partition.of("clickstream", alone, own(None, alone)),
        "written": Partition.of("clickstream", SHOP, own(None)),
        "scored": Partition.of("clickstream", SHOP, own(sessions)),
    }
    log = [event for event in islice(events(seed, 60.0), 2 * clicks) if event.topic == "clickstream"][:clicks]
    return {str(most): _cost(ways, log, most) for most in RANGES}


def _five(columns: Columns, folded: Mapping[str, Floats2d]) -> list[Floats]:
    """What session rules read before sessions were learned."""
    nobody = np.zeros((columns.n, len(VISITOR.columns)))
    return list(session_vector().fill(columns, {**folded, VISITOR.name: nobody}))[: len(SESSION_NAMES)]


def _cost(ways: Mapping[str, Partition], log: Sequence[Event], most: int) -> dict[str, float]:
    """The median over the ranges, each way first in its turn."""
    took: dict[str, list[float]] = {name: [] for name in ways}
    bags, order = dict[bytes, bytes](), list(ways)
    for number, (_, some) in enumerate(ranges(iter(log), most), 1):
        records = [record for record, _ in some]
        order.append(order.pop(0))
        for name in order:
            took[name].append(ways[name].does(records, bags, number)[1] / len(records) * 1e6)
        ways["rules alone"].adds(records, bags, number)
    return {name: round(float(np.median(found)), 2) for name, found in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=150_000)
    parser.add_argument("--clicks", type=int, default=10_000, help="over which the price is measured")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--figure", action="store_true", help="write docs/figures/sessions.json")
    given = parser.parse_args()
    began = time.process_time()
    told, sessions = quality(given.events, given.seed)
    learned_s = time.process_time() - began
    found = {"told": told, "us_a_click": cost(sessions, given.clicks, given.seed + 1), "seconds": round(learned_s, 1)}
    print(json.dumps(found, indent=2))
    if given.figure:
        command = (
            f"python -m bench.sessions --events {given.events} --clicks {given.clicks} --seed {given.seed} --figure"
        )
        made_of = hash_of(f"simulated shop, seed {given.seed}, {given.events} events".encode())
        figure.write("sessions", value=found, target=TARGET, command=command, data_hash=made_of, holds=_holds(told))


def _holds(told: Mapping[str, Any]) -> bool:
    bots, people = told[Truth.BOT.value], told[Truth.NORMAL.value]
    return bool(bots["told"] == bots["sessions"] and people["told"] * 500 <= people["sessions"])


if __name__ == "__main__":
    main()
