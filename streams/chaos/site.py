"""What a chaos run happens to: a broker, a store and workers, each a process that can be killed, stopped and continued.

Broker and store are the embedded ones, or Apache Kafka, or a cluster of stores; what the settings name is used and left
alone: it is not ours to kill.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas.settings import Settings, load
from streams.chaos.cluster import StoreCluster, start_store_cluster
from streams.chaos.kafka import Kafka, start_kafka
from streams.chaos.plan import Kind
from streams.embedded.broker import Broker, start_broker
from streams.embedded.processes import Child, Children, StartError, free_port
from streams.embedded.store import Store, start_store
from streams.embedded.supervisor import WORDS, reason

KEPT = "appendonlydir"  # where a store has its files


@dataclass(slots=True)
class Worker:
    """A `headrace worker` and how to start it again."""

    slot: int
    children: Children
    environment: Mapping[str, str]
    name: str = "worker"
    metrics_port: int = field(default_factory=free_port)
    child: Child | None = None
    standing_still: bool = False

    def start(self) -> None:
        argv = [sys.executable, "-P", "-m", "streams.cli", "worker"]
        argv += ["--slot", str(self.slot), "--metrics-port", str(self.metrics_port)]
        self.child = self.children.start(f"{self.name}-{self.slot}", argv, self.environment, cwd=Path.cwd())

    def kill(self) -> None:
        assert self.child is not None
        self.child.kill()

    def stop(self) -> None:
        assert self.child is not None
        self.child.stop()
        self.standing_still = True

    def cont(self) -> None:
        assert self.child is not None
        self.child.cont()
        self.standing_still = False

    def ended(self) -> str | None:
        """Why it ended, with its last words where it failed by itself; None while it runs."""
        if self.child is None or (code := self.child.poll()) is None:
            return None
        said = self.child.complaint(WORDS)
        return f"worker {self.slot} ended ({reason(code)})" + (f": {said}" if said else "")


@dataclass(slots=True)
class Site:
    """`broker` and `stores` are None and empty where the settings name real ones."""

    children: Children
    broker: Broker | Kafka | None
    stores: list[Store]
    cluster: StoreCluster | None = None

    def environment(self) -> dict[str, str]:
        """What a worker must be told to find them."""
        told: dict[str, str] = {}
        if self.broker is not None:
            profile = "embedded" if isinstance(self.broker, Broker) else "kafka"
            told |= {"HEADRACE_KAFKA__BROKERS": self.broker.address, "HEADRACE_KAFKA__PROFILE": profile}
        if self.stores:
            told |= {"HEADRACE_REDIS__URL": self.stores[0].url}
        return told

    def settings(self, *, group: str, delivery: str, store_url: str | None = None) -> Settings:
        """The same as settings, for what this process asks itself."""
        kafka: dict[str, object] = {"group": group}
        if self.broker is not None:
            profile = "embedded" if isinstance(self.broker, Broker) else "kafka"
            kafka |= {"brokers": self.broker.address, "profile": profile}
        url = store_url or (self.stores[0].url if self.stores else None)
        return load(kafka=kafka, redis={"url": url} if url else {}, delivery=delivery)

    def refuse_what_is_not_ours(self, faults: Iterable[Kind]) -> None:
        """Raises StartError for a fault that this site cannot have."""
        for kind in faults:
            if kind in (Kind.BROKER_KILL, Kind.BROKER_STOP) and self.broker is None:
                raise StartError(f"{kind}: the broker that HEADRACE_KAFKA__BROKERS names is not ours to harm")
            if kind is Kind.BROKER_KILL and not isinstance(self.broker, Kafka):
                raise StartError(f"{kind}: the embedded broker loses its log when it dies: use Apache Kafka (--kafka)")
            if kind in (Kind.STORE_KILL, Kind.STORE_STOP, Kind.STORE_ROLLBACK) and not self.stores:
                raise StartError(f"{kind}: the store that HEADRACE_REDIS__URL names is not ours to harm")
            if kind is Kind.NODE_KILL and self.cluster is None:
                raise StartError(f"{kind}: this store is no cluster of ours")

    def what(self) -> tuple[str, str]:
        """Broker and store in words, for the report."""
        broker = {Broker: "embedded", Kafka: "Apache Kafka"}.get(type(self.broker), "named by the settings")
        store = "cluster of three" if self.cluster else "one" if self.stores else "named by the settings"
        return broker, store

    # ---- what can be done to them; the slow ones away from the event loop

    async def broker_killed(self) -> None:
        assert isinstance(self.broker, Kafka)
        self.broker.kill()
        await asyncio.to_thread(self.broker.restart)

    async def broker_stopped(self, seconds: float) -> None:
        assert self.broker is not None
        await _stopped(self.broker.child, seconds)

    async def store_killed(self, place: int = 0) -> None:
        self.stores[place].child.kill()
        await asyncio.to_thread(self.stores[place].start_again)
        if self.cluster is not None:
            await asyncio.to_thread(self.cluster.wait_until_whole)

    async def store_stopped(self, seconds: float) -> None:
        await _stopped(self.stores[0].child, seconds)

    async def store_copied(self) -> Path:
        """A copy of the store's files as they are at this moment; its last entry may be cut short."""
        store = self.stores[0]
        target = self.children.folder / f"{store.child.name}-copy"
        await asyncio.to_thread(shutil.copytree, store.folder / KEPT, target)
        return target

    async def store_rolled_back(self, copy: Path) -> None:
        """SIGKILL, and a start from the copy."""
        store = self.stores[0]
        store.child.kill()
        await asyncio.to_thread(shutil.rmtree, store.folder / KEPT)
        await asyncio.to_thread(shutil.copytree, copy, store.folder / KEPT)
        await asyncio.to_thread(store.start_again)


async def _stopped(child: Child, seconds: float) -> None:
    child.stop()
    try:
        await asyncio.sleep(seconds)
    finally:
        child.cont()


def build_site(children: Children, *, kafka: Path | None = None, cluster: bool = False) -> Site:
    """Starts what the settings do not name; `kafka`: Apache Kafka, with its jars in this cache. Raises StartError."""
    named = load()
    if kafka is not None and "brokers" in named.kafka.model_fields_set:
        raise StartError("--kafka starts a broker of its own: leave it out, or unset HEADRACE_KAFKA__BROKERS")
    broker: Broker | Kafka | None = None
    if kafka is not None:
        broker = start_kafka(children, kafka)
    elif "brokers" not in named.kafka.model_fields_set:
        broker = start_broker(children, free_port())
    if "url" in named.redis.model_fields_set:
        return Site(children, broker, [])
    if cluster:
        made = start_store_cluster(children)
        return Site(children, broker, made.nodes, made)
    return Site(children, broker, [start_store(children, free_port())])
