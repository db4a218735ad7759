"""Real services, one of each a test session, started when the first test asks for them.

They are shared: a test uses topics of its own names and, in a store, empties what it needs empty. A test that kills a
service brings it back before it ends, or starts its own (`tests.support`) under the `children` fixture.
"""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from streams.embedded.broker import Broker
from streams.embedded.processes import Children
from streams.embedded.store import Store
from tests.support.kafka import Kafka, start_kafka
from tests.support.s3 import S3, start_s3
from tests.support.tansu import start_tansu
from tests.support.valkey import ValkeyCluster, start_valkey, start_valkey_cluster

KAFKA_TIMEOUT_S = 300

settings.register_profile("headrace", deadline=None)  # no timed tests: a loaded machine is no counterexample
settings.load_profile("headrace")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What uses Apache Kafka is marked so by its fixture, and waits longer: a killed broker takes its time."""
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.kafka)
            item.add_marker(pytest.mark.timeout(KAFKA_TIMEOUT_S))


@pytest.fixture
def children() -> Iterator[Children]:
    """A folder and processes of the test's own."""
    with Children() as own:
        yield own


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """Apache Kafka: `address`, `kill()`, `restart()`, `stop()`, `cont()`."""
    with Children() as own:
        yield start_kafka(own)


@pytest.fixture(scope="session")
def tansu() -> Iterator[Broker]:
    """The embedded broker: `address`."""
    with Children() as own:
        yield start_tansu(own)


@pytest.fixture(scope="session")
def valkey() -> Iterator[Store]:
    """One store: `url`, `port`, `child.kill()`, `child.stop()`, `child.cont()`, `start_again()`."""
    with Children() as own:
        yield start_valkey(own)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3 server: `url`, `credentials`, `restart()`, `child.stop()`."""
    with Children() as own:
        yield start_s3(own)


@pytest.fixture(scope="session")
def valkey_cluster() -> Iterator[ValkeyCluster]:
    """Three masters: `nodes`, `url`, `wait_until_whole()`."""
    with Children() as own:
        yield start_valkey_cluster(own)
