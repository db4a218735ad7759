"""Makes the topics of the registry on a broker, and lists them as they are.

Only ever adds: a topic that is there stays as it is, and a difference that matters is told. The one topic that grows is
`applied`, which has one partition for each partition of the inputs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import (  # type: ignore[import-untyped]  # it has no types
    AIOKafkaAdminClient,
    NewPartitions,
    NewTopic,
)
from aiokafka.errors import InvalidPartitionsError, KafkaError, for_code  # type: ignore[import-untyped]

from schemas.settings import Settings
from schemas.topics import DAY_MS, INPUTS, TOPICS, Topic, partitions_of, registry_of
from streams.data.cluster import Cluster, ClusterError
from streams.transport.admission import not_permitted

ALREADY_EXISTS = 36  # Kafka's code: somebody else was faster
CREATE_MS = 30_000
SEEN_WITHIN_S, SEEN_EVERY_S = 15.0, 0.05


@dataclass(frozen=True, slots=True)
class Made:
    """What was done about one topic."""

    name: str
    partitions: int
    what: str  # created, there already, ...


async def create_topics(settings: Settings) -> list[Made]:
    """Creates what is missing and returns when the broker tells of all of it; in registry order.

    Raises ClusterError where the broker cannot be reached or refuses, with the topic and its reason.
    """
    cluster = Cluster(settings.kafka)
    inputs, topics = _registry(settings)
    asked: set[str] = set()
    created: set[str] = set()
    grown: dict[str, int] = {}
    until = time.monotonic() + SEEN_WITHIN_S
    while True:  # until the broker tells of all: it answers before its metadata is out, and others may be at it as well
        there = await cluster.topics()
        wanted = {topic.name: _partitions(topic, settings.partitions, there, inputs) for topic in topics}
        missing = [topic for topic in topics if topic.name not in there]
        small = {name: wanted[name] for name in ("applied",) if 0 < there.get(name, 0) < wanted[name]}
        if not missing and not small:
            return [Made(name, there[name], _what(name, wanted[name], there[name], created, grown)) for name in wanted]
        if time.monotonic() > until:
            late = ", ".join([topic.name for topic in missing] + list(small))
            raise ClusterError(f"{late} at {settings.kafka.brokers}: not seen within {SEEN_WITHIN_S:g} s")
        async with cluster.admin() as admin:
            if new := [t for t in missing if t.name not in asked]:
                made = [NewTopic(t.name, wanted[t.name], settings.replicas, topic_configs=t.config()) for t in new]
                created |= _created(await admin.create_topics(made, timeout_ms=CREATE_MS), settings)
                asked |= {t.name for t in new}
            if more := {name: NewPartitions(count) for name, count in small.items() if grown.get(name) != count}:
                await _grow(admin, more, settings)
                grown |= small
        await asyncio.sleep(SEEN_EVERY_S)


async def listed(settings: Settings) -> list[dict[str, object]]:
    """The registry in its order, one row a topic; `partitions` is 0 where the broker does not have it."""
    there = await Cluster(settings.kafka).topics()
    return [
        {
            "topic": topic.name,
            "partitions": there.get(topic.name, 0),
            "key": topic.key,
            "retention": "for ever" if topic.retention_ms < 0 else f"{topic.retention_ms // DAY_MS} days",
            "writer": topic.writer,
            "readers": ", ".join(topic.readers),
        }
        for topic in _registry(settings)[1]
    ]


def _registry(settings: Settings) -> tuple[Sequence[str], list[Topic]]:
    """(inputs, all topics) of the shop, or of the definitions file that the settings name."""
    if settings.features is None:
        return INPUTS, list(TOPICS.values())
    from streams.space import definitions_of  # the store's client and more, which the shop's topics need not wait for
    from streams.topology import outputs_of

    definitions = definitions_of(settings)
    inputs = [flow.topic for flow in definitions.flows]
    return inputs, list(registry_of(inputs, outputs_of(definitions)).values())


def _partitions(topic: Topic, partitions: int, there: Mapping[str, int], inputs: Sequence[str]) -> int:
    """How many partitions a topic should have, seeing that the inputs may be there and have more than was set."""
    largest_input = max(partitions, *(there.get(name, 0) for name in inputs))
    return partitions_of(topic, largest_input if topic.name == "applied" else partitions, inputs)


def _what(name: str, wanted: int, has: int, made: set[str], grown: Mapping[str, int]) -> str:
    if name in made:
        return "created"
    if name in grown:
        return "grown: one for each partition of the inputs"
    return "there already" if has == wanted else f"there already (the settings say {wanted})"


def _created(answer: Any, settings: Settings) -> set[str]:
    """The topics that this made, nobody else; raises ClusterError for the first refused (the client hands codes on)."""
    for name, code, *message in answer.topic_errors:
        if code not in (0, ALREADY_EXISTS):
            error = for_code(code)
            why = not_permitted(error(f"create {name}")) or (message[0] if message else None)
            why = why or error.description or error.__name__
            raise ClusterError(f"topic {name} at {settings.kafka.brokers}: {why}")
    return {name for name, code, *_ in answer.topic_errors if code == 0}


async def _grow(admin: AIOKafkaAdminClient, counts: dict[str, NewPartitions], settings: Settings) -> None:
    try:
        await admin.create_partitions(counts, timeout_ms=CREATE_MS)
    except InvalidPartitionsError:
        pass  # somebody else was faster
    except KafkaError as error:
        why = not_permitted(error) or f"{error}"
        raise ClusterError(f"{', '.join(counts)} at {settings.kafka.brokers} cannot grow: {why}") from error
