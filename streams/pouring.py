"""Pouring: the archive's past into bags beside those in use, a stretch at a time.

What is held is one stretch of events, a stretch of records of each partition, and a bounded sample (features/skew.py),
however long the archive is: the bags themselves are in the store. The price: two round trips to the
store for every 2,000 bags that a stretch touches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from features.definitions import Definitions, Flow
from features.filling import Filling
from features.group import Group
from features.skew import Sample, Skews
from features.vector import Vector
from storage.places import Place
from streams.past.archived import ArchivePast
from streams.past.feed import Feed
from streams.past.reading import Partition
from streams.stores.beside import Beside

STRETCH = 20_000  # events between two visits to the store
TOLD = 200_000  # events between two lines
NOTHING = Vector((), (), lambda _, __: [])

Tell = Callable[[str], None]


@dataclass(slots=True)
class Pouring:
    """Of some groups; `sample`: of how many entities of each the order skew is told."""

    definitions: Definitions
    groups: Sequence[Group]
    shards: int
    aside: Beside
    tell: Tell
    sample: int = 0
    stretch: int = STRETCH
    events: int = 0
    reached: dict[Partition, int] = field(default_factory=dict)  # the offset behind what was poured
    samples: dict[str, Sample] = field(init=False)
    filling: Filling = field(init=False)
    _told: int = 0

    def __post_init__(self) -> None:
        self.samples = {group.name: Sample(group, self.sample) for group in self.groups} if self.sample else {}
        self.filling = Filling(self.flows, self.groups, self.shards, self.samples)

    @property
    def flows(self) -> Sequence[Flow]:
        """Those with events for the groups."""
        return [flow for flow in self.definitions.flows if not set(self.groups).isdisjoint(flow.groups)]

    async def feed(self, place: Place) -> Feed:
        """The past of these groups alone."""
        flows = tuple(
            replace(flow, scored=False, groups=tuple(group for group in flow.groups if group in self.groups))
            for flow in self.flows
        )
        inputs = [flow.topic for flow in self.definitions.flows]
        feed = Feed(ArchivePast(place, inputs, settled_s=0.0), Definitions(flows, NOTHING))
        await feed.open()
        return feed

    async def pour(self, feed: Feed) -> None:
        """On to where the archive ends now."""
        await feed.line(0.0)
        async for range_ in feed.ranges():
            self.filling.take(range_)
            applied = range_.tag.applied
            self.reached[applied.topic, applied.partition] = applied.last + 1
            if self.filling.events >= self.stretch:
                await self._drain()
        await self._drain()

    def skews(self) -> Sequence[Skews]:
        """Of what was poured."""
        return [sample.skews() for sample in self.samples.values()]

    async def _drain(self) -> None:
        self.events += self.filling.events
        for group, added in self.filling.drain():
            await self.aside.add(group, added)
        if self.events >= self._told + TOLD:
            self._told = self.events
            self.tell(f"{self.events:,} events")
