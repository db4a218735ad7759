"""The stack when its broker is no more: told at once, and nobody waits for what cannot come."""

from __future__ import annotations

import sys
import time

import pytest

from schemas.settings import load
from streams.embedded.broker import Broker
from streams.embedded.processes import Children, StartError, free_port
from streams.embedded.services import Services
from streams.embedded.stack import Stack
from streams.embedded.supervisor import Supervisor

SLEEPS = "import time; time.sleep(600)"


def stack(children: Children, told: list[str]) -> Stack:
    """A broker and a worker that do nothing but run."""
    broker = Broker(free_port(), children.start("broker", [sys.executable, "-c", SLEEPS]))
    supervisor = Supervisor(told.append)
    supervisor.add("worker 0", lambda: children.start("worker-0", [sys.executable, "-c", SLEEPS]))
    return Stack(Services(children, broker, None, load()), supervisor, [free_port()], None, None, told.append)


def end_of_the_broker(one: Stack) -> None:
    assert one.services.broker is not None
    one.services.broker.child.process.kill()
    while one.services.broker.child.running:
        time.sleep(0.01)


def test_a_broker_that_ended_is_told_before_anything_is_ended_for_it(children: Children) -> None:
    told: list[str] = []
    one = stack(children, told)
    one.look()
    assert told == []
    end_of_the_broker(one)
    with pytest.raises(StartError, match="its logs, kept in memory, are lost: start again, or use Apache Kafka"):
        one.look()
    assert told == ["the embedded broker has ended (SIGKILL): ending the workers, then all the rest"]


def test_workers_whose_broker_has_ended_are_not_waited_for(children: Children) -> None:
    told: list[str] = []
    one = stack(children, told)
    end_of_the_broker(one)
    began = time.monotonic()
    with pytest.raises(StartError, match="the embedded broker has ended"):
        one.wait_for_workers()
    assert time.monotonic() - began < 10.0
    assert len(told) == 1
