"""What `headrace state` does: tells the state in canonical lines, puts it on a topic made anew, or makes it again.

`dump` says what every bag means, without TTLs and sequence numbers: two states that took the same events give the same
bytes, whatever died in between. `rebase` and `rebuild` are the protocol's (streams/protocol), a partition at a time;
they refuse while a worker of the group is alive, and each may be cut short and run again.
The price of a rebuild: it begins where the log does, so what retention deleted is in the state again only where the
archive has it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

import orjson

from features.compact import canonical_each
from features.definitions import Definitions, Flow
from features.group import Group
from features.join import Meeting, canonical
from schemas.records import Record
from schemas.settings import Settings
from streams.configuration import from_files
from streams.configurations import Configurations
from streams.data.cluster import Cluster
from streams.outputs import RangeOutputs, Writer
from streams.protocol import rebase as protocol
from streams.protocol.ports import Row, Source, Stop, Tp
from streams.protocol.rebuild import Rebuild
from streams.space import definitions_of, limits_of, open_store
from streams.stores import admin
from streams.stores.dump import Bag, batches
from streams.stores.valkey import ValkeyStore
from streams.transport.applied import APPLIED, AppliedLog
from streams.transport.checks import check_applied
from streams.transport.link import Link
from streams.transport.log import LogReader, TopicFacts
from streams.transport.source import KafkaSource
from streams.work import Prepared, RangeWork

if TYPE_CHECKING:
    from storage.places import Place

PARTITIONS_AT_ONCE = 4
LEAVES_WITHIN_S = 12.0  # a static member that ended is in the group until its session is over
LOOK_S = 0.5

Tell = Callable[[str], None]


async def dump(settings: Settings) -> AsyncIterator[bytes]:
    """The state as canonical NDJSON, by group and entity; many lines at a time."""
    definitions = definitions_of(settings)
    async with open_store(settings, definitions) as store:
        async for text in canonical_lines(store, definitions):
            yield text


async def canonical_lines(store: ValkeyStore, definitions: Definitions) -> AsyncIterator[bytes]:
    """The same of a store that is open. Raises Stop for a bag of a group that the definitions do not have."""
    groups: dict[str, Group | Meeting] = {group.name: group for group in definitions.groups}
    groups |= {meeting.name: meeting for meeting in definitions.meetings}
    async for some in batches(store):
        for name, of_group in groupby(some, attrgetter("group")):
            yield _lines(_group(groups, name), list(of_group))


def _group(groups: Mapping[str, Group | Meeting], name: str) -> Group | Meeting:
    if name not in groups:
        raise Stop(
            f"the store holds bags of group {name!r}, the definitions have {', '.join(groups)}: "
            "name the definitions file of its workers (HEADRACE_FEATURES)"
        )
    return groups[name]


def _lines(group: Group | Meeting, bags: Sequence[Bag]) -> bytes:
    if isinstance(group, Meeting):
        meanings = [canonical(group, bag.content) for bag in bags]
    else:
        meanings = canonical_each(group, [bag.content for bag in bags])
    told = ({"entity": bag.entity, **meaning} for bag, meaning in zip(bags, meanings, strict=True))
    return b"".join(orjson.dumps(one, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE) for one in told)


async def rebase(settings: Settings, topic: str, tell: Tell, *, abandon: bool = False) -> None:
    """Puts every partition of a topic on its present topic id, beginning at its log's start; a line for each."""
    definitions = definitions_of(settings)
    async with AtRest(settings, definitions) as place:
        facts = await place.topic(topic)
        await place.nobody_works()
        limits = limits_of(settings)
        for partition in range(facts.partitions):
            tp = Tp(topic, partition, facts.id)
            start, _ = await place.reader.bounds(topic, partition)
            done = await protocol.rebase(tp, place.store, start, limits, abandon=abandon)
            tell(f"{tp}: " + (f"begins at offset {start} of topic {facts.id}" if done else "is on this topic already"))


async def rebuild(settings: Settings, tell: Tell, *, from_scratch: bool = False, archive: Place | None = None) -> None:
    """Brings every partition's state to where its log was published; `from_scratch`: after deleting all of it.

    `archive`: where the records are that the log has no more.
    """
    definitions = definitions_of(settings)
    async with AtRest(settings, definitions, prepare=not from_scratch) as place:
        facts = {flow.topic: await place.topic(flow.topic) for flow in definitions.flows}
        check_applied(facts | await place.reader.topics([APPLIED]), place.inputs)
        await place.nobody_works()
        if from_scratch:
            tell(f"deleted {await admin.wipe(place.store):,} keys")
        own = from_files(definitions, settings.rules, settings.model)
        await place.store.put_config(own.id, own.content)
        configurations = Configurations(definitions, own, place.store.get_config)
        every = [
            _Partition(place, Tp(flow.topic, partition, facts[flow.topic].id), flow, configurations, archive)
            for flow in definitions.flows
            for partition in range(facts[flow.topic].partitions)
        ]
        await _rebuild_all(every, tell)


async def _rebuild_all(every: Sequence[_Partition], tell: Tell) -> None:
    """A few at a time; the first that fails ends the others."""
    gate = asyncio.Semaphore(PARTITIONS_AT_ONCE)

    async def one(partition: _Partition) -> None:
        async with gate:
            tell(await partition.rebuild())

    try:
        async with asyncio.TaskGroup() as tasks:
            for partition in every:
                tasks.create_task(one(partition))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


class AtRest:
    """The store and the log that the settings name, for work that no worker may see half done."""

    def __init__(
        self,
        settings: Settings,
        definitions: Definitions,
        *,
        prepare: bool = True,
        constants: Mapping[str, str] | None = None,
    ) -> None:
        """`constants`: what the state space must agree with, where not all that the definitions say."""
        self.settings, self.definitions, self.prepare = settings, definitions, prepare
        self.inputs = [flow.topic for flow in definitions.flows]
        self.reader = LogReader(Link.of(settings.kafka))
        self.store = open_store(settings, definitions, constants=constants)

    async def __aenter__(self) -> AtRest:
        try:
            if self.prepare:
                await self.store.prepare()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()
        await self.reader.stop()

    async def topic(self, name: str) -> TopicFacts:
        if name not in self.inputs:
            raise Stop(f"topic {name!r} is no input: want one of {', '.join(self.inputs)}")
        facts = await self.reader.topics([name])
        if name not in facts:
            raise Stop(f"topic {name!r} is not at {self.settings.kafka.brokers}: `headrace topics create` makes it")
        return facts[name]

    async def nobody_works(self) -> None:
        """Raises Stop while a worker is alive; one that ended a moment ago is waited for."""
        until = time.monotonic() + LEAVES_WITHIN_S
        while alive := await self.working():
            if time.monotonic() > until:
                raise Stop(
                    f"group {self.settings.kafka.group} has workers alive ({alive}): stop them first; one that was "
                    "killed leaves the group when its session is over"
                )
            await asyncio.sleep(LOOK_S)

    async def working(self) -> str:
        """Who works, in words; empty where nobody does. The embedded broker lists the dead for ever: ask the store."""
        cluster = Cluster(self.settings.kafka)
        if await cluster.embedded():
            connections = await admin.others(self.store)
            return f"{connections} connections to the store" if connections else ""
        async with cluster.admin() as client:
            (reply,) = await client.describe_consumer_groups([self.settings.kafka.group])
        groups = reply.to_object()["groups"]
        return ", ".join(sorted(str(member["client_id"]) for group in groups for member in group["members"]))


@dataclass(frozen=True, slots=True)
class _Partition:
    """One partition to be rebuilt."""

    place: AtRest
    tp: Tp
    flow: Flow
    configurations: Configurations
    archive: Place | None

    async def rebuild(self) -> str:
        """Rebuilds it; what was done, in a line."""
        upto = await self._upto()
        place = self.place
        writer = Writer(self.tp, same_partitions=False, feature_hash=place.definitions.vector.hash)
        work = RangeWork(self.tp, self.flow, place.definitions, place.store.shards, self.configurations, writer)
        limits = limits_of(place.settings)
        source = self._source()
        own = self.configurations.own.id
        rebuilding: Rebuild[Record, Prepared, RangeOutputs] = Rebuild(
            self.tp, place.store, source, work, limits, own, uuid.uuid4().bytes
        )
        await rebuilding.run(upto)
        return f"{self.tp}: " + (f"rebuilt up to offset {upto}" if upto >= 0 else "nothing of it was published")

    def _source(self) -> Source[Record]:
        log = KafkaSource(self.tp, self.place.reader, _never, limit=1, idle_s=0.0)
        if self.archive is None:
            return log
        from streams.past.source import LongSource  # pyarrow is not for who does without

        return LongSource(self.tp, self.archive, log)

    async def _upto(self) -> int:
        """The last offset of which all is out; of what comes after it a worker decides again, with the same ids."""
        place, tp = self.place, self.tp
        committed = await place.reader.committed(place.settings.kafka.group, tp.topic, tp.partition)
        if place.settings.delivery == "exactly-once":
            return (committed or 0) - 1
        newest: Row | None = await AppliedLog(place.reader, place.inputs).newest(tp)
        if newest is None:
            return (committed or 0) - 1
        if self.archive is None:
            return newest.first - 1
        start, _ = await place.reader.bounds(tp.topic, tp.partition)
        return max(newest.first - 1, min(newest.last, start - 1))  # what the log has no more, no worker can take again


async def _never(offset: int) -> int:
    raise AssertionError(f"a rebuild reads beside the group, it does not seek to {offset}")
