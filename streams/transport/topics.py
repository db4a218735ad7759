"""Whether the topics of a running worker still are what it found at its start: what is not looks like an outage.

A send to a topic or partition that is not there waits as if the broker were away, and the watchdog would end the worker
again and again without a name. So the topics are looked at every few seconds, and what no waiting mends is a `Stop`.
Their partitions are fixed for the life of a worker: rows of `applied` and outputs go by them. An input that was deleted
is none of this: it may be made anew, which the store judges by the topic's id.

The price: one request in five seconds, and up to eight until it is told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass

from streams.protocol.ports import SinkDown, Stop
from streams.transport.checks import missing, topics_there
from streams.transport.log import LogReader, TopicFacts

LOOK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class TopicWatch:
    """`found`: every topic that the definitions name, as it was at the start. `written`: the topics that adapters have
    written to, whether named or not; it grows while the worker runs."""

    log: LogReader
    inputs: Sequence[str]
    found: Mapping[str, TopicFacts]
    written: Set[str]

    async def watch(self) -> None:
        """Never returns; raises Stop. An outage is for others to wait for."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            with contextlib.suppress(SinkDown):
                await self.look()

    async def look(self) -> None:
        """One look; raises Stop or SinkDown."""
        undeclared = self.written - self.found.keys()
        facts = await topics_there(self.log, self.found.keys() | undeclared)
        if lost := sorted(self.found.keys() - {*self.inputs} - facts.keys()):
            raise missing(lost)
        if lost := sorted(undeclared - facts.keys()):
            raise _undeclared(lost)
        for name in self.found.keys() & facts.keys():
            self._check_partitions(name, self.found[name], facts[name])

    def _check_partitions(self, name: str, was: TopicFacts, now: TopicFacts) -> None:
        """Raises Stop for an input that grew, and for any other topic that was made anew with less."""
        changed = now.id == was.id and now.partitions != was.partitions
        if changed if name in self.inputs else now.partitions < was.partitions:
            raise Stop(
                f"topic {name} has {now.partitions} partitions and had {was.partitions} when this worker started: "
                "run `headrace topics create`, which makes `applied` fit, and start the workers again"
            )


def _undeclared(topics: Collection[str]) -> Stop:
    names = "".join(f'"{topic}",' for topic in topics)
    return Stop(
        f"topics {', '.join(topics)} are not there, which an adapter of the definitions writes to: mend the name, "
        f"create them, or add writes=({names}) to the flow and run `headrace topics create`"
    )
