"""The Faust app: stock App, agents, web and rebalancing over the batch transport.

    app = make_app("headrace", Link("localhost:9092"), KAFKA, slot=0)
    orders = app.batches("orders")

    @app.agent(orders)
    async def score(stream): ...

An event's value is a `Delivery`: records of one partition, undecoded, from a position on. With a slot the worker is a
static member of its group: killed and started again within the session it has its partitions back at once, and the
others never stop. Of two workers of one slot the older is told so and ends (membership.py). The price: without a
LeaveGroup, scaling down takes one session timeout.

Stock Faust is changed in these places and no other: transport, pass-through schema, no directories for tables, no sleep
of 1 s before the first assignment, which only tables need, and agents that are not announced to autodiscovery.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import faust
from faust.agents import Agent, AgentFun, AgentT
from faust.serializers.schemas import Schema
from faust.tables.manager import TableManager
from faust.topics import Topic
from faust.transport.drivers.aiokafka import Producer as FaustProducer
from faust.transport.drivers.aiokafka import Transport as FaustTransport
from faust.types import EventT, Message
from faust.types.transports import TransportT
from yarl import URL

from streams.transport.consumer import BatchConsumer, Listener
from streams.transport.fetching import Buffers
from streams.transport.link import Link
from streams.transport.profile import Profile

REQUEST_TIMEOUT_S = 60.0
COMMIT_EVERY_S = 1.0
QUEUED_BATCHES = 256  # of one topic, all its partitions; the consumer's own limit per partition is lower


class BatchProducer(FaustProducer):
    """Faust's own producer is not used (publisher.py is), but the app starts one: it must reach the brokers."""

    def _settings_auth(self) -> Mapping[str, Any]:
        app: Any = self.app
        return dict(app.link.client())


class BatchTransport(FaustTransport):
    Consumer: ClassVar[Any] = BatchConsumer
    Producer: ClassVar[Any] = BatchProducer


class PassThrough(Schema[Any, Any]):
    """Hands a batch to the agent as it is: what it holds is decoded a range at a time."""

    def compile(self, app: Any, **_: Any) -> Any:
        async def decode(message: Message, *, propagate: bool = False) -> EventT[Any]:  # noqa: ARG001 - Faust names it
            event: EventT[Any] = app.create_event(message.key, message.value, None, message)
            return event

        return decode


class NoTables(TableManager):
    """There are none, so there is nothing to wait for at the start."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class App(faust.App):
    """A Faust app whose topics are all read in batches."""

    link: Link
    profile: Profile
    buffers: Buffers
    slot: int | None
    listener: Listener | None = None
    commits: bool = True  # False in exactly-once: an offset committed aside could go back behind a transaction's

    def _new_transport(self) -> TransportT:
        return BatchTransport([URL("kafka://batches")], self)

    def _new_producer_transport(self) -> TransportT:
        return BatchTransport([URL("kafka://batches")], self)

    def _create_directories(self) -> None:
        """None: what Faust keeps on disk belongs to tables."""

    def agent(
        self, channel: Any = None, *, name: str | None = None, **options: Any
    ) -> Callable[[AgentFun[Any]], AgentT[Any]]:
        """Faust's decorator, less its note to autodiscovery (venusian): to say where the agent was defined, that goes
        through the files of every module there is, 25 to 40 ms of each start.
        """

        def made(work: AgentFun[Any]) -> AgentT[Any]:
            agent = Agent(work, name=name, app=self, channel=channel, on_error=self._on_agent_error, **options)
            self.agents[agent.name] = agent
            return agent

        return made

    def batches(self, name: str) -> Topic:
        """The topic, read in batches. Its queue is bounded: `App.topic` would drop the bound."""
        topic = cast(Topic, self.topic(name, schema=PassThrough(), allow_empty=True))
        topic.maxsize = QUEUED_BATCHES
        return topic


def make_app(
    group: str,
    link: Link,
    profile: Profile,
    *,
    slot: int | None = None,
    buffers: Buffers | None = None,
    commits: bool = True,
) -> App:
    """An app that consumes as `group`; with a `slot` as the static member `<group>-<slot>`, if the broker has them."""
    app = App(
        group,
        broker=f"kafka://{link.brokers.split(',')[0]}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        TableManager=NoTables,
        consumer_group_instance_id=f"{group}-{slot}" if slot is not None and profile.static_members else None,
        broker_client_id=f"{group}-worker" if slot is None else f"{group}-{slot}",
        broker_session_timeout=profile.session_timeout_ms / 1000,
        broker_heartbeat_interval=profile.heartbeat_ms / 1000,
        broker_rebalance_timeout=profile.rebalance_timeout_ms / 1000,
        broker_request_timeout=REQUEST_TIMEOUT_S,
        broker_commit_interval=COMMIT_EVERY_S,
        stream_buffer_maxsize=QUEUED_BATCHES,
        stream_recovery_delay=0.0,
        producer_linger=0.0,
    )
    app.link, app.profile, app.slot, app.commits = link, profile, slot, commits
    app.buffers = buffers or Buffers()
    return app
