"""What `headrace features backfill` does: the bags of groups that are new or changed, from the archive.

Every event that the store has taken is read from the archive, in the order in which it was applied, a stretch at a
time, and the groups' bags are filled beside those that workers use (stores/beside.py). Then they are put in place.

Workers may run until then (`beside`): what they take meanwhile is archived and read as well. For putting in place they
must stop. A worker has the definitions it started with, a range that is open must be decided from the same bags again,
and one bag is not two definitions': so there is a moment at which every range of the old definitions is closed, the
bags beside have all that was taken, and none of the new has begun. Only with no worker alive is there such a moment,
and it is as long as it takes to read the last stretch and to rename the keys. Workers of the new definitions find full
bags, or are refused.

Killed before that, nothing has changed and the next run begins anew; killed while groups are put in place no worker
starts, and the next run goes on. The price: the archive is read whole, and the groups are in the store twice meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from archive.errors import ArchiveError
from archive.places import Place
from features.definitions import Definitions, Flow
from features.filling import Filling
from features.group import Group
from features.skew import Sample, Skews
from features.vector import Vector
from schemas.settings import Settings
from schemas.timestamps import rfc3339
from streams.past.archived import ArchivePast
from streams.past.feed import Feed
from streams.past.reading import Partition
from streams.protocol.ports import Stop
from streams.space import common_of, definitions_of, features_of, ttls_of
from streams.state import AtRest
from streams.stores import admin
from streams.stores.beside import Beside
from streams.stores.prepare import GROUP, LAYOUT, changed, known_of
from streams.stores.valkey import ValkeyStore

STRETCH = 20_000  # events between two visits to the store
TOLD = 200_000  # events between two lines
LOOK_S = 3.0
SAMPLE = 1_000  # entities whose order skew is told
NOTHING = Vector((), (), lambda _, __: [])

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Filled:
    """What was done."""

    entities: int
    events: int
    skews: Sequence[Skews] = ()


async def backfill(
    settings: Settings,
    place: Place,
    names: Sequence[str],
    tell: Tell,
    *,
    beside: bool = False,
    sample: int = SAMPLE,
) -> Filled:
    """Fills the named groups; raises Stop or ArchiveError where that cannot be done, and then nothing is changed.

    `beside`: workers may run, and are waited for. `sample`: of so many entities of each group order skew is told.
    """
    definitions = definitions_of(settings)
    groups = _named(definitions, names)
    common = common_of(settings, definitions)
    async with AtRest(settings, definitions, prepare=False, constants=common) as rest:
        await rest.store.prepare()
        contents = {group.name: definitions.contents[group.name] for group in groups}
        aside = Beside(rest.store, contents, ttls_of(definitions))
        if await aside.switching():
            await rest.nobody_works()
            tell("an earlier run was cut short while it put groups in place: this one goes on with that")
            return Filled(await aside.put_in_place(features_of(definitions)), 0)
        if await _is_there(rest.store, definitions, names):
            tell(f"{', '.join(names)}: in the state space already")
            return Filled(0, 0)
        if not beside:
            await rest.nobody_works()
        await aside.clear()
        samples = {group.name: Sample(group, sample) for group in groups} if sample else {}
        job = _Job(rest, aside, groups, Filling(definitions.flows, groups, settings.shards, samples), tell)
        feed = await job.feed(place)
        while missing := await job.attempt(feed):
            if not beside:
                raise ArchiveError(missing)
            job.say(missing)
            await asyncio.sleep(LOOK_S)
        if feed.lost_ms >= 0:
            tell(f"what is older than {rfc3339(feed.lost_ms)} is not in the archive, and so not in the bags")
        entities = await aside.put_in_place(features_of(definitions))
        return Filled(entities, job.events, [one.skews() for one in samples.values()])


def _named(definitions: Definitions, names: Sequence[str]) -> tuple[Group, ...]:
    known = {group.name: group for group in definitions.groups}
    for name in names:
        if name not in known:
            raise Stop(f"no group {name!r} in the definitions: want one of {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names))


async def _is_there(store: ValkeyStore, definitions: Definitions, names: Sequence[str]) -> bool:
    """Whether nothing is to be done; raises Stop where the named groups are not all that is."""
    known, wanted = await known_of(store.nodes, 0), features_of(definitions)
    if LAYOUT not in known:
        raise Stop(
            "the state space is empty: there is nothing to backfill beside; start a worker, or rebuild the state"
        )
    if not any(name.startswith(GROUP) for name in known):
        raise Stop(
            "the state space does not say yet what its groups hold: start a worker of this version with the old "
            "definitions once, and stop it in good order"
        )
    differ = changed(known, wanted)
    gone = sorted(name.removeprefix(GROUP) for name in known if name.startswith(GROUP) and name not in wanted)
    if others := [name for name in (*differ, *gone) if name not in names]:
        raise Stop(
            f"{', '.join(names)} is not all that is new or changed: {', '.join(others)} differs too; name all of them, "
            "and leave no group out of the definitions"
        )
    return not differ and known[LAYOUT] == wanted[LAYOUT]


@dataclass(slots=True)
class _Job:
    """One run."""

    rest: AtRest
    aside: Beside
    groups: Sequence[Group]
    filling: Filling
    tell: Tell
    events: int = 0
    _reached: dict[Partition, int] = field(default_factory=dict)
    _told: int = 0
    _said: str = ""

    @property
    def _flows(self) -> list[Flow]:
        return [flow for flow in self.rest.definitions.flows if not set(self.groups).isdisjoint(flow.groups)]

    async def feed(self, place: Place) -> Feed:
        """The past of these groups alone."""
        flows = tuple(
            replace(flow, scored=False, groups=tuple(group for group in flow.groups if group in self.groups))
            for flow in self._flows
        )
        feed = Feed(ArchivePast(place, self.rest.inputs, settled_s=0.0), Definitions(flows, NOTHING))
        await feed.open()
        return feed

    async def attempt(self, feed: Feed) -> str:
        """Reads on to where the archive ends; what keeps the groups from being put in place. If that is nothing, no
        worker can start any more, and the bags beside have all that was taken.
        """
        await self._read(feed)
        if missing := await self._missing():
            return missing
        await self.aside.announce()
        if missing := await self._missing():
            await self.aside.withdraw()
        return missing

    async def _read(self, feed: Feed) -> None:
        await feed.line(0.0)
        async for range_ in feed.ranges():
            self.filling.take(range_)
            applied = range_.tag.applied
            self._reached[applied.topic, applied.partition] = applied.last + 1
            if self.filling.events >= STRETCH:
                await self._drain()
        await self._drain()

    async def _drain(self) -> None:
        self.events += self.filling.events
        for group, added in self.filling.drain():
            await self.aside.add(group, added)
        if self.events >= self._told + TOLD:
            self._told = self.events
            self.tell(f"{self.events:,} events")

    async def _missing(self) -> str:
        if working := await self.rest.working():
            return f"workers are alive ({working}): stop them, and the groups are put in place"
        topics = {flow.topic for flow in self._flows}
        positions: dict[Partition, int] = {}
        for place in await admin.places(self.rest.store):
            partition = place.topic, place.partition
            if place.topic not in topics:
                continue
            if positions.setdefault(partition, place.position) != place.position or (place.home and place.last_range):
                return (
                    f"{place.topic}/{place.partition}: a range is open: let a worker of the old definitions finish it "
                    "and stop it in good order"
                )
        for (topic, number), position in positions.items():
            reached = self._reached.get((topic, number), 0)
            if position > 0 and reached != position:
                return (
                    f"{topic}/{number}: the store stands at offset {position}, the archive and its rows at {reached}: "
                    "let `headrace archive` catch up, and run it again"
                )
        return ""

    def say(self, what: str) -> None:
        """Once, until it changes."""
        if what != self._said:
            self._said = what
            self.tell(what)
