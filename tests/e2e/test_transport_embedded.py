"""The transport on the embedded broker."""

import pytest

from streams.embedded.broker import Broker
from streams.protocol.ports import Stop
from streams.transport.log import LogReader
from streams.transport.profile import EMBEDDED, profile_of
from streams.transport.sink import KafkaSink
from tests.e2e.transport import Transport
from tests.support.transport import Place


@pytest.fixture
def place(tansu: Broker) -> Place:
    return Place(tansu.address, EMBEDDED)


class TestOnTheEmbeddedBroker(Transport):
    async def test_it_is_known_for_what_it_is(self, place: Place) -> None:
        async with place.log() as log:
            assert await profile_of("auto", log) == EMBEDDED

    async def test_exactly_once_is_refused_with_the_remedy(self, place: Place) -> None:
        with pytest.raises(Stop, match="HEADRACE_DELIVERY=at-least-once"):
            KafkaSink(place.link, place.profile, LogReader(place.link), group="g", inputs=["orders"], exactly_once=True)
