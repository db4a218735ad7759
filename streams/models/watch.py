"""Swapping models while workers run: hear of a deployment, load what it names in a thread, use it for new ranges.

The registry says what is in force; topic `models` only says that it is time to look. So a record that is lost costs
half a minute, and one that is forged nothing. A registry that does not answer leaves in force what is. One that has
nothing although something is in force is no registry that was emptied, but one that is not mounted.

What could not be used is tried again at every look: a file that is restored needs no new deployment. A challenger that
failed when it scored stays out until the next one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import msgspec

from models.registry import Registry, RegistryError
from schemas.decisions import NewerVersionError
from schemas.deployments import DEPLOYMENT_KEY, TOPIC, Deployment
from storage.errors import StorageDown, StorageError
from streams.configurations import Configurations
from streams.metrics import Metrics
from streams.models.aside import aside
from streams.models.choose import Choice, Chooser
from streams.protocol.ports import SinkDown, StoreDown
from streams.transport.aio import KafkaError
from streams.transport.log import LogReader

log = logging.getLogger("headrace")

BELL_S = 0.25
LOOK_S = 30.0
RETRY_S = 1.0  # after the first look that failed; doubles
LATE_S = 10.0  # a mounted folder may show a file so long after it was announced
KEEPS = (StorageDown, StorageError, StoreDown, SinkDown, RegistryError, NewerVersionError)  # what is in force stays so


@dataclass(slots=True)
class Bell:
    """The numbers of deployments that topic `models` tells of, from the first time it is asked on."""

    log: LogReader
    position: int | None = None

    async def rung(self) -> int:
        """The largest number told since it was last asked; 0 where none was, or nobody could be asked."""
        try:
            if self.position is None:
                _, self.position = await self.log.bounds(TOPIC, 0)
                return 0
            chunk = await self.log.fetch(TOPIC, 0, self.position)
        except SinkDown:  # the topics' own watch tells
            return 0
        except KafkaError:  # made anew, or cut: from its end on
            self.position = None
            return 0
        self.position = max(self.position, chunk.position)
        return max((_number(one.value) for one in chunk.records if one.key == DEPLOYMENT_KEY), default=0)


class _Numbered(msgspec.Struct):
    number: int = 0


def _number(value: bytes | None) -> int:
    try:
        return msgspec.json.decode(value or b"", type=_Numbered).number
    except msgspec.DecodeError:
        return 0


class ModelWatch:
    """`first`: what the worker started with."""

    def __init__(
        self,
        chooser: Chooser,
        registry: Registry,
        configurations: Configurations,
        bell: Bell,
        metrics: Metrics,
        first: Choice,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chooser, self._registry, self._configurations = chooser, registry, configurations
        self._bell, self._metrics, self._clock = bell, metrics, clock
        self._choice = first
        self._failing = dict[str, str]()
        self._failures = 0

    async def watch(self) -> None:
        """Never returns."""
        due_s = told_s = self._clock()
        told = 0
        while True:
            announced, now_s = await self._bell.rung(), self._clock()
            if announced:
                told, told_s, due_s = announced, now_s, now_s
            if self._configurations.failed.is_set() and not self._failures:
                due_s = now_s
            if now_s >= due_s:
                wait_s = await self.look()
                late = self._choice.deployment.number < told and now_s - told_s < LATE_S
                due_s = self._clock() + (RETRY_S if late else wait_s)
            await asyncio.sleep(BELL_S)

    async def look(self) -> float:
        """One look; in how many seconds the next is due."""
        try:
            deployment = await aside(self._newest)
            await self._use(deployment)
            since_ms = await aside(partial(self._chooser.since_ms, self._choice.deployment))
            self._metrics.champion_since.set(since_ms / 1000)
        except KEEPS as error:
            self._metrics.registry_errors.inc()
            if not self._failures:
                log.warning("the registry cannot be used: what is in force stays so", extra={"why": str(error)})
            self._failures += 1
            return min(LOOK_S, RETRY_S * 2.0 ** (self._failures - 1))
        if self._failures:
            log.info("the registry can be used again")
        self._failures = 0
        return LOOK_S

    def _newest(self) -> Deployment:
        return newest(self._registry, self._choice.deployment.number)

    async def _use(self, deployment: Deployment) -> None:
        """Replaces the configuration of new ranges, where the deployment or what can be used of it is another."""
        if deployment.number != self._choice.deployment.number:
            self._failing = {}
        elif self._configurations.failed.is_set():
            there = {ref.label for ref in deployment.challengers}  # a range that was begun before may name others
            self._failing |= {label: why for label, why in self._configurations.failing.items() if label in there}
        elif self._choice.whole or not self._choice.refused.keys() - self._failing.keys():
            return
        choice = await aside(partial(self._chooser.choose, deployment, self._failing))
        await self._configurations.use(choice.configuration)
        self._configurations.failed.clear()
        before, self._choice = self._choice, choice
        tell(choice, self._metrics, before)


def newest(registry: Registry, number: int) -> Deployment:
    """The newest deployment, where `number` is in force; raises StorageDown where there is none any more."""
    found = registry.deployed(since=number)
    if number and not found.number:
        raise StorageDown(f"{registry.place.shown} has no deployments, and number {number} is in force: is it mounted?")
    return found


def tell(choice: Choice, metrics: Metrics, before: Choice | None = None) -> None:
    """Says what is in force: to the metrics, and to the log where it is another than before."""
    deployment, own = choice.deployment, choice.configuration
    metrics.configured(own.model_name or "", own.model_version or "", own.id, lacks_model=bool(own.no_model))
    metrics.deployment.set(deployment.number)
    metrics.challengers.set(len(own.shadow.challengers))
    metrics.refused.set(len(choice.refused))
    if before is not None and (before.deployment, before.refused) == (deployment, choice.refused):
        return
    if own.no_model:
        log.error("no model: rules decide alone: %s", own.no_model)
    for label, why in choice.refused.items():
        log.error("a model that is in force is not used: %s", why, extra={"model": label})
    if before is not None:
        models = {
            "champion": own.artefact.label if own.artefact else "",
            "challengers": ", ".join(own.shadow.challengers),
        }
        log.info("models in force", extra={"deployment": deployment.number, "config": own.id, **models})
