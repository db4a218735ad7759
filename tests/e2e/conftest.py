"""Streams for tests that run workers: the topics made anew and an empty store, on the embedded broker or on Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from streams.embedded.broker import start_broker
from streams.embedded.processes import Children, free_port
from streams.embedded.store import Store
from tests.conftest import KAFKA_TIMEOUT_S
from tests.support.kafka import Kafka
from tests.support.place import Place, guarded_store, store_login
from tests.support.secured import Secured, start_secured
from tests.support.tls import Authority, behind_tls
from tests.support.worker import Stream, new_stream

ON_KAFKA = pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.timeout(KAFKA_TIMEOUT_S)])


def stream_on(broker: str, children: Children, request: pytest.FixtureRequest) -> Stream:
    """A stream on Apache Kafka (one a session, its topics made anew) or on an embedded broker of its own."""
    if broker == "kafka":
        kafka: Kafka = request.getfixturevalue("kafka")
        return asyncio.run(new_stream(children, kafka.address))
    return asyncio.run(new_stream(children, start_broker(children, free_port()).address))


@pytest.fixture(params=["embedded", ON_KAFKA])
def stream(request: pytest.FixtureRequest, children: Children) -> Stream:
    """A stream of the test's own, once on each broker."""
    return stream_on(request.param, children, request)


@pytest.fixture
def embedded_stream(request: pytest.FixtureRequest, children: Children) -> Stream:
    return stream_on("embedded", children, request)


@pytest.fixture
def kafka_stream(children: Children, kafka: Kafka) -> Stream:
    return asyncio.run(new_stream(children, kafka.address))


@pytest.fixture(scope="module", params=["embedded", ON_KAFKA])
def shared_stream(request: pytest.FixtureRequest) -> Iterator[Stream]:
    """A stream that the tests of a module share."""
    with Children() as own:
        yield stream_on(request.param, own, request)


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    """Apache Kafka with logins, certificates and ACLs."""
    with Children() as own:
        yield start_secured(own)


@pytest.fixture
def server(children: Children) -> Store:
    """A store with one user who may do what docs/store.md lists, and nobody else."""
    return guarded_store(children)


@pytest.fixture
async def place(secured: Secured, server: Store, children: Children, tmp_path: Path) -> AsyncIterator[Place]:
    stream = Stream(children, secured.broker.address, server, group="headrace")
    authority = Authority(tmp_path / "tls", "keeper-of-stores")
    certificate = authority.sign("store")
    async with behind_tls(server.port, certificate.cert, certificate.key) as port:
        store = store_login(f"rediss://localhost:{port}/0", authority)
        place = Place(stream, secured, store)
        yield place
        await place.ends()
