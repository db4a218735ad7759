"""The story of `headrace parity --plant`: a shop of its own, a worker with the plant, a check that must find it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from streams.chaos.run import Events
from streams.chaos.site import Site, Worker
from streams.chaos.watch import StuckError, Watch
from streams.data.cluster import Cluster
from streams.data.sender import Sender
from streams.data.topics import create_topics
from streams.embedded.processes import StartError
from streams.embedded.supervisor import end_together
from streams.parity.check import Asked, Report
from streams.parity.once import once
from streams.parity.oracle import Oracle
from streams.parity.plants import PLANT, planted
from streams.space import definitions_of, open_store
from streams.transport.link import Link
from streams.transport.log import LogReader

GROUP = "headrace-parity"
END_WITHIN_S = 20.0
LOOK_S = 0.5


async def plant(name: str, site: Site, events: Events, asked: Asked, oracle: Oracle | None) -> Report:
    """What a check says of a stream whose worker has the plant. Raises StuckError where the worker does not get on."""
    settings = site.settings(group=GROUP, delivery="at-least-once")
    definitions = definitions_of(settings)
    if planted(definitions, name) == definitions:
        raise StartError(f"plant {name!r}: these definitions have no feature that it could break: choose another")
    async with AsyncExitStack() as stack:
        reader = LogReader(Link.of(settings.kafka))
        stack.push_async_callback(reader.stop)
        await create_topics(settings)
        sender = Sender(await stack.enter_async_context(Cluster(settings.kafka).producer()))
        await sender.send(list(events.records))
        await sender.flush()
        environment = {**site.environment(), "HEADRACE_KAFKA__GROUP": GROUP, PLANT: name}
        worker = Worker(0, site.children, environment)
        stack.callback(_end, worker)
        worker.start()
        store = await stack.enter_async_context(open_store(settings, definitions))
        facts = await reader.topics([flow.topic for flow in definitions.flows])
        watch = Watch(store, reader, {topic: fact.partitions for topic, fact in facts.items()})
        await _drained(watch, worker)
    return await once(settings, asked, oracle)


async def _drained(watch: Watch, worker: Worker) -> None:
    """Returns when all is taken; raises StuckError where the worker ends before."""
    drained = asyncio.ensure_future(watch.drained())
    try:
        while not (await asyncio.wait([drained], timeout=LOOK_S))[0]:
            if why := worker.ended():
                raise StuckError(f"the worker with the plant could not go on: {why}")
        drained.result()
    finally:
        drained.cancel()


def _end(worker: Worker) -> None:
    if worker.child is not None:
        end_together([worker.child], END_WITHIN_S)
