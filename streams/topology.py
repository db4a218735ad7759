"""The page to read first: who reads what, which state it touches, and what it writes.

  topic        bags it reads and adds to                                   writes
  -----------  ----------------------------------------------------------  -------------------------------------------
  orders       user card device ip merchant habits subnet product          fraud decisions outcomes applied orders.dlq
               category shop visitor session order
  clickstream  session visitor                                             anomalies sessions applied
                                                                           clickstream.dlq
  cart         session visitor                                             anomalies sessions applied cart.dlq
  labels       order                                                       outcomes applied labels.dlq
  outcomes     user card device ip merchant product order                  outcomes applied outcomes.dlq

Every agent does the same thing with its records: a partition's batches go to that partition's driver
(protocol/driver.py), which agrees a range with the store, brings the bags back, lets the range's work (work.py) fold,
score and encode, and publishes. Labels and orders meet in the bags of `order`, and what follows, topic `outcomes`, is
read back (features/join.py). Beside them every worker writes to `models` what its configurations are made of, and reads
there which models are in force (models/watch.py). What differs between topics is their flow (features/definitions.py),
so a user's own definitions file makes its own topology, and the table above is what the shop's definitions come to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from features.definitions import Definitions, Flow
from schemas.deployments import TOPIC as MODELS
from schemas.sessions import SESSIONS
from schemas.topics import dead_letters_of

if TYPE_CHECKING:
    from streams.transport.app import App  # Faust: half a second of imports for who only wants the table

DECISIONS = ("fraud", "decisions")
ANOMALIES = ("anomalies",)


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent as the table shows it. Of a user's own output topics `writes` has those that their flow names."""

    topic: str
    bags: tuple[str, ...]
    writes: tuple[str, ...]


class Consumer(Protocol):
    """Takes the batches of all partitions of a topic."""

    async def consume(self, stream: Any) -> None: ...


def agents_of(definitions: Definitions) -> tuple[Agent, ...]:
    """The rows of the table, by the definitions."""
    return tuple(
        Agent(flow.topic, _bags(flow), (*_outputs(flow, definitions), *_joined(flow), "applied", dlq))
        for flow in definitions.flows
        for dlq in [dead_letters_of(flow.topic)]
    )


def _bags(flow: Flow) -> tuple[str, ...]:
    met = () if flow.join is None else (flow.join.meeting.name,)
    return (*(group.name for group in flow.groups), *met)


def _joined(flow: Flow) -> tuple[str, ...]:
    return () if flow.join is None else (flow.join.meeting.topic,)


def _outputs(flow: Flow, definitions: Definitions) -> tuple[str, ...]:
    if flow.scored:
        return flow.writes if flow.outputs else DECISIONS
    session = definitions.session
    if session is None or not set(session.groups) <= set(flow.groups):
        return ()
    return (*ANOMALIES, SESSIONS) if definitions.milestones is not None else ANOMALIES


def outputs_of(definitions: Definitions) -> tuple[str, ...]:
    """The topics that the flows write beside `applied` and dead letters."""
    flows = definitions.flows
    return tuple(dict.fromkeys(topic for flow in flows for topic in (*_outputs(flow, definitions), *_joined(flow))))


def topics_of(definitions: Definitions) -> tuple[str, ...]:
    """Every topic that must be there before a worker starts, inputs first."""
    agents = agents_of(definitions)
    inputs = dict.fromkeys(agent.topic for agent in agents)
    return tuple(inputs | dict.fromkeys(topic for agent in agents for topic in agent.writes) | {MODELS: None})


def attach(app: App, definitions: Definitions, consumer: Consumer) -> None:
    """One Faust agent for each input topic."""
    for agent in agents_of(definitions):
        _attach(app, agent.topic, consumer)


def _attach(app: App, topic: str, consumer: Consumer) -> None:
    async def agent(stream: Any) -> None:
        await consumer.consume(stream)

    agent.__name__ = topic
    app.agent(app.batches(topic), name=topic)(agent)
