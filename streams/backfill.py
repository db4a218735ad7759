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
from collections.abc import Sequence
from dataclasses import dataclass

from archive.errors import ArchiveError
from features.definitions import Definitions
from features.group import Group
from features.skew import Skews
from schemas.settings import Settings
from schemas.timestamps import rfc3339
from storage.places import Place
from streams.past.feed import Feed
from streams.past.reading import Partition
from streams.pouring import Pouring, Tell
from streams.protocol.ports import Stop
from streams.space import common_of, definitions_of, features_of, ttls_of
from streams.state import AtRest
from streams.stores import admin
from streams.stores.beside import Beside
from streams.stores.prepare import GROUP, LAYOUT, changed, known_of
from streams.stores.valkey import ValkeyStore

LOOK_S = 3.0
SAMPLE = 1_000  # entities whose order skew is told


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
        pouring = Pouring(definitions, groups, settings.shards, aside, tell, sample)
        job, feed = _Job(rest, aside, pouring), await pouring.feed(place)
        said = ""
        while missing := await job.attempt(feed):
            if not beside:
                raise ArchiveError(missing)
            if missing != said:
                tell(said := missing)
            await asyncio.sleep(LOOK_S)
        if feed.lost_ms >= 0:
            tell(f"what is older than {rfc3339(feed.lost_ms)} is not in the archive, and so not in the bags")
        entities = await aside.put_in_place(features_of(definitions))
        return Filled(entities, pouring.events, pouring.skews())


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


@dataclass(frozen=True, slots=True)
class _Job:
    """One run."""

    rest: AtRest
    aside: Beside
    pouring: Pouring

    async def attempt(self, feed: Feed) -> str:
        """Reads on to where the archive ends; what keeps the groups from being put in place. If that is nothing, no
        worker can start any more, and the bags beside have all that was taken.
        """
        await self.pouring.pour(feed)
        if missing := await self._missing():
            return missing
        await self.aside.announce()
        if missing := await self._missing():
            await self.aside.withdraw()
        return missing

    async def _missing(self) -> str:
        if working := await self.rest.working():
            return f"workers are alive ({working}): stop them, and the groups are put in place"
        topics = {flow.topic for flow in self.pouring.flows}
        places = [place for place in await admin.places(self.rest.store) if place.topic in topics]
        return _open(places) or self._behind(places)

    def _behind(self, places: Sequence[admin.Place]) -> str:
        for place in places:
            reached = self.pouring.reached.get((place.topic, place.partition), 0)
            if place.position > 0 and reached != place.position:
                return (
                    f"{place.topic}/{place.partition}: the store stands at offset {place.position}, the archive and "
                    f"its rows at {reached}: let `headrace archive` catch up, and run it again"
                )
        return ""


def _open(places: Sequence[admin.Place]) -> str:
    """Whether a partition is in the middle of a range."""
    positions: dict[Partition, int] = {}
    for place in places:
        partition = place.topic, place.partition
        if positions.setdefault(partition, place.position) != place.position or (place.home and place.last_range):
            return (
                f"{place.topic}/{place.partition}: a range is open: let a worker of the old definitions finish it "
                "and stop it in good order"
            )
    return ""
