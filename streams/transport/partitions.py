"""Who works on which partition: one coroutine each, from its assignment to its revocation.

A factory gives `run(tp, source)`; it is started when Faust has positioned its consumer, waits while the group agrees
anew who gets what, goes on if the partition stays (and learns nothing anew), and is cancelled if it goes. At a
revocation every run finishes the range in hand; one that cannot (its store is down) is cancelled after
`finish_within_s`, which the protocol takes for a crash: the next owner gets its open range back.

    tasks = PartitionTasks(app, run, log)

    @app.agent(app.batches("orders"))
    async def orders(stream): await tasks.consume(stream)

An exception that leaves a run stops the process with its records unacknowledged; only `Fenced`, or an end in good
order, means that another worker may have the partition, and the run starts again if it is still ours a second later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from faust.types import TP, EventT

from streams.protocol.ports import Fenced, SinkDown, Stop, Tp
from streams.transport.app import App
from streams.transport.consumer import BatchConsumer
from streams.transport.log import LogReader
from streams.transport.source import KafkaSource

log = logging.getLogger(__name__)

Run = Callable[[Tp, KafkaSource], Coroutine[Any, Any, None]]

FINISH_WITHIN_S = 3.0  # a range takes some 20 ms; the whole group waits for the slowest member
IDLE_S = 1.0
AGAIN_S = 1.0
LOOK_AT_TOPICS_EVERY_S = 5.0


class EventStream(Protocol):
    def noack(self) -> EventStream: ...
    def events(self) -> AsyncIterator[EventT[Any]]: ...


async def _nothing(_: Tp) -> None:
    return None


@dataclass(slots=True)
class _Worker:
    source: KafkaSource
    task: asyncio.Task[None]


@dataclass(slots=True)
class PartitionTasks:
    """The app's listener (consumer.py): call `attach` before the app starts, `stop` after it has stopped."""

    app: App
    run: Run
    log: LogReader
    closed: Callable[[Tp], Awaitable[None]] = _nothing  # after a run ended for good: closes its producer
    finish_within_s: float = FINISH_WITHIN_S
    idle_s: float = IDLE_S
    failure: BaseException | None = None  # what stopped the process, once it did
    _workers: dict[TP, _Worker] = field(default_factory=dict)
    _assigned: set[TP] = field(default_factory=set)
    _beginning: asyncio.Task[None] | None = None
    _ever_ready: bool = False
    _stopping: bool = False
    failed: asyncio.Event = field(default_factory=asyncio.Event)

    def attach(self) -> PartitionTasks:
        """Makes this the app's listener."""
        self.app.listener = self
        return self

    async def consume(self, stream: EventStream) -> None:
        """The whole body of an agent: each batch goes to its partition's source."""
        async for event in stream.noack().events():
            worker = self._workers.get(event.message.tp)
            if worker is not None:
                worker.source.put(event)

    @property
    def assigned(self) -> bool:
        """Whether the group has ever given this worker an answer, be it an empty one."""
        return self._ever_ready

    def places(self) -> dict[TP, int]:
        """Per partition the position below which all is published, where it is known."""
        return {tp: w.source.finished for tp, w in self._workers.items() if w.source.finished is not None}

    # --- consumer.Listener

    async def drain(self) -> None:
        """Every run finishes its range and waits; one that does not within `finish_within_s` is cancelled."""
        await self._stop_beginning()
        workers = dict(self._workers)
        for worker in workers.values():
            worker.source.pause()
        deadline = time.monotonic() + self.finish_within_s
        slow = [tp for tp, worker in workers.items() if not await _comes_to_rest(worker, deadline)]
        if slow:
            log.warning("partitions given up within a range", extra={"partitions": sorted(map(str, slow))})
        await self._give_up(slow)

    async def keep_only(self, assigned: set[TP]) -> None:
        self._ever_ready = True
        self._assigned = assigned
        await self._give_up(self._workers.keys() - assigned)

    async def ready(self, assigned: set[TP]) -> None:
        self._assigned = assigned
        await self._stop_beginning()
        if not self._stopping:
            self._beginning = asyncio.create_task(self._begin(), name="partitions")
            self._beginning.add_done_callback(self._looked)

    async def stop(self) -> None:
        """Ends all runs, those at rest at once."""
        self._stopping = True
        await self._stop_beginning()
        await self._give_up(list(self._workers))

    # ---

    async def _begin(self) -> None:
        """Starts what is not running, resumes what is; then looks after topics that are made anew."""
        while True:
            try:
                facts = await self.log.topics({tp.topic for tp in self._assigned})
            except SinkDown as error:
                log.warning("topics unknown", extra={"reason": str(error)})
                continue
            for tp in sorted(self._assigned):
                if tp.topic in facts:
                    await self._ensure(tp, Tp(tp.topic, tp.partition, facts[tp.topic].id))
            await asyncio.sleep(LOOK_AT_TOPICS_EVERY_S)

    async def _ensure(self, tp: TP, known: Tp) -> None:
        worker = self._workers.get(tp)
        if worker is not None and worker.source.tp != known:
            log.error(
                "topic was made anew", extra={"topic": tp.topic, "was": worker.source.tp.topic_id, "is": known.topic_id}
            )
            await self._give_up([tp])
            worker = None
        if worker is None:
            self._start(tp, known)
        elif worker.source.paused:
            worker.source.resume()

    def _start(self, tp: TP, known: Tp) -> None:
        source = KafkaSource(
            known,
            self.log,
            lambda place: cast(BatchConsumer, self.app.consumer).rewind(tp, place),
            limit=self.app.buffers.batch,
            idle_s=self.idle_s,
        )
        task = asyncio.create_task(self._work(known, source), name=f"partition {known}")
        self._workers[tp] = _Worker(source, task)

    async def _work(self, known: Tp, source: KafkaSource) -> None:
        while True:
            try:
                await self.run(known, source)
            except Fenced as fenced:
                log.warning("partition has another owner", extra={"partition": str(known), "reason": str(fenced)})
            except Exception as error:  # a bug or a Stop: the records stay unacknowledged, the process ends
                self._fail(str(known), error)
                return
            await self.closed(known)
            await asyncio.sleep(AGAIN_S)
            source.reset()

    def must_stop(self, stop: Stop) -> None:
        self._fail("every one of this worker", stop)

    def _fail(self, what: str, error: BaseException) -> None:
        """Tells `serve`, which stops the process; that one says why it stops, so here only a bug is loud."""
        level, trace = (logging.INFO, None) if isinstance(error, Stop) else (logging.CRITICAL, error)
        log.log(level, "partition stopped", exc_info=trace, extra={"partition": what, "reason": str(error)})
        self.failure = self.failure or error
        self.failed.set()

    def _looked(self, beginning: asyncio.Task[None]) -> None:
        if not beginning.cancelled() and (error := beginning.exception()) is not None:
            self._fail("of the assignment", error)

    async def _give_up(self, tps: Iterable[TP]) -> None:
        leaving = [worker for tp in list(tps) if (worker := self._workers.pop(tp, None)) is not None]
        for worker in leaving:
            worker.task.cancel()
        for worker in leaving:
            with contextlib.suppress(asyncio.CancelledError):
                await worker.task
            await self.closed(worker.source.tp)

    async def _stop_beginning(self) -> None:
        beginning, self._beginning = self._beginning, None
        if beginning is not None:
            beginning.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beginning


async def _comes_to_rest(worker: _Worker, deadline: float) -> bool:
    resting = asyncio.ensure_future(worker.source.rest())
    try:
        await asyncio.wait(
            [resting, worker.task], timeout=max(0.0, deadline - time.monotonic()), return_when=asyncio.FIRST_COMPLETED
        )
        return resting.done() or worker.task.done()
    finally:
        resting.cancel()
