"""A check that never ends: a light process beside the workers, with metrics for whoever must be woken.

It keeps a replay of its own and goes on where the log has grown. After a start it reads the whole log once, which the
age of the last round shows; to have a decision compared takes two rounds at most. It holds no partition and writes
nothing, so it can be stopped and started at will. The price: a core for 3,000 to 10,000 orders a second, by the
length of their ranges, and the bags of all entities in memory, as in the store.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry, Counter, Gauge

from schemas.settings import Settings
from streams.collectors import process_registry
from streams.embedded.ending import stop_on_signals
from streams.logs import configure
from streams.parity.check import Asked, Check, Report
from streams.parity.once import PATIENCE_S, check_of, past_of
from streams.protocol.ports import SinkDown
from streams.scrape import serve_metrics
from streams.transport.link import Link
from streams.transport.log import LogReader

ROUND_S = 10.0

log = logging.getLogger("headrace")


class ParityMetrics:
    """What a watch tells Prometheus; ops/alerts/parity.yml asks for it."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.time) -> None:
        r = self.registry = registry
        self._clock = clock
        self._told: dict[str, float] = {}
        self.compared = Counter("headrace_parity_compared", "Logged vectors compared with a replay", registry=r)
        self.mismatches = Counter(
            "headrace_parity_mismatches", "Logged values that differ from the replay", ["feature"], registry=r
        )
        self.left_out = Counter("headrace_parity_not_compared", "Logged vectors left out", ["why"], registry=r)
        self.age = Gauge("headrace_parity_age_seconds", "Time since the last round was over", registry=r)
        self._over = clock()
        self.age.set_function(lambda: self._clock() - self._over)

    def round(self, report: Report) -> None:
        """A round is over, and this is what all rounds have found."""
        self._raise(self.compared, "compared", report.replay.compared)
        for name, count in zip(report.replay.names, report.replay.by_feature.tolist(), strict=True):
            self._raise(self.mismatches.labels(name), name, count)
        for why, count in report.left_out.items():
            self._raise(self.left_out.labels(why), f"not {why}", count)
        self._over = self._clock()

    def _raise(self, counter: Counter, name: str, now: float) -> None:
        counter.inc(max(0.0, now - self._told.get(name, 0)))
        self._told[name] = max(now, self._told.get(name, 0))


def watch(settings: Settings, asked: Asked) -> int:
    """Until it is told to stop; 1 if anything differed meanwhile."""
    configure("parity", settings.log_format)
    return asyncio.run(_watch(settings, asked))


async def _watch(settings: Settings, asked: Asked) -> int:
    stopping = asyncio.Event()
    stop_on_signals(stopping)
    async with AsyncExitStack() as stack:
        metrics = ParityMetrics(process_registry())
        serve_metrics(settings.metrics, metrics.registry, stack)
        reader = LogReader(Link.of(settings.kafka))
        stack.push_async_callback(reader.stop)
        check: Check | None = None
        told: set[str] = set()
        while not stopping.is_set():
            try:
                if check is None:
                    check = check_of(settings, await past_of(settings, reader), asked, None)
                    await check.open()
                await check.look(PATIENCE_S)
                _tell(check.report(), metrics, told)
            except SinkDown as down:  # half a round is lost: begin anew
                check = None
                log.warning("the broker is away", extra={"why": str(down)})
            await _sleep(stopping)
        return 1 if told else 0


def _tell(report: Report, metrics: ParityMetrics, told: set[str]) -> None:
    """Each feature that differs is logged once."""
    metrics.round(report)
    for name in report.wrong:
        if name not in told:
            told.add(name)
            one = report.replay.first[name]
            log.error(
                "a feature differs from the replay",
                extra={"feature": name, "order": one.order_id, "logged": one.logged, "rebuilt": one.rebuilt},
            )


async def _sleep(stopping: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(ROUND_S):
            await stopping.wait()
    except TimeoutError:
        pass
