"""The embedded broker for tests: one a session, topics by unique names, since a restart loses everything."""

from streams.embedded.broker import Broker, start_broker
from streams.embedded.processes import Children, free_port


def start_tansu(children: Children) -> Broker:
    return start_broker(children, free_port())
