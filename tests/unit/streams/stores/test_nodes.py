"""Each failure of a store means one thing to a worker: wait, or stop with a remedy."""

from __future__ import annotations

import pytest
from redis import exceptions as redis_errors
from redis._parsers.base import BaseParser

from streams.protocol.ports import Stop
from streams.stores.nodes import KINDS, Access, Down, Node, NoLibrary, meaning


def reply(text: str) -> Exception:
    """What redis-py makes of an error reply."""
    made: Exception = BaseParser.parse_error(text)  # type: ignore[no-untyped-call]  # redis-py's
    return made


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("MOVED 3999 127.0.0.1:6381", "cluster"),
        ("ASK 3999 127.0.0.1:6381", "cluster"),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "cluster"),
        ("CLUSTERDOWN Hash slot not served", "cluster"),
        ("MASTERDOWN Link with MASTER is down", "cluster"),
        ("LOADING Redis is loading the dataset in memory", "loading"),
        ("BUSY Redis is busy running a script.", "busy"),
        ("READONLY You can't write against a read only replica.", "no_writes"),
        ("MISCONF Errors writing to the AOF file: No space left on device", "no_writes"),
        ("NOREPLICAS Not enough good replicas to write.", "no_writes"),
        ("OOM allow-oom flag is not set on the function, can not run it when used memory > 'maxmemory'", "full"),
    ],
)
def test_what_waiting_may_heal_is_down(text: str, kind: str) -> None:
    down = meaning(reply(text), "here:1")
    assert isinstance(down, Down)
    assert down.kind == kind
    assert down.kind in KINDS
    assert "here:1" in str(down)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (redis_errors.ConnectionError("Error 111 connecting"), "unreachable"),
        (ConnectionResetError("reset by peer"), "unreachable"),
        (redis_errors.TimeoutError("Timeout connecting to server"), "timeout"),
        (TimeoutError(), "timeout"),
    ],
)
def test_a_lost_connection_is_down(error: Exception, kind: str) -> None:
    down = meaning(error, "here:1")
    assert isinstance(down, Down)
    assert down.kind == kind


def test_functions_that_are_not_there_are_loaded_again() -> None:
    assert isinstance(meaning(reply("ERR Function not found"), "here:1"), NoLibrary)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("WRONGPASS invalid username-password pair or user is disabled.", "HEADRACE_REDIS__PASSWORD"),
        ("NOAUTH Authentication required.", "HEADRACE_REDIS__PASSWORD"),
        ("NOPERM User x has no permissions to run the 'fcall' command", "grant the user"),
        ("HEADRACE the record of orders/1 has format 99: start a newer headrace", "start a newer headrace"),
        ("ERR user_function:3: attempt to index a nil value", "refused a call"),
    ],
)
def test_what_waiting_cannot_heal_stops_the_worker(text: str, remedy: str) -> None:
    stop = meaning(reply(text), "here:1")
    assert isinstance(stop, Stop)
    assert remedy in str(stop)


def test_a_login_beside_the_url_is_used_and_one_inside_it_wins() -> None:
    beside = Access("redis://host:7000/0", username="me", password="secret").pool().connection_kwargs
    assert (beside["username"], beside["password"], beside["host"], beside["port"]) == ("me", "secret", "host", 7000)
    inside = Access("redis://you:other@host", username="me", password="secret").pool().connection_kwargs
    assert (inside["username"], inside["password"]) == ("you", "other")


def test_the_other_servers_of_a_cluster_are_reached_the_same_way() -> None:
    access = Access("rediss://you:other@host:7000", ca_file=None)
    made = Node(access, "10.0.0.7", 7001)
    assert made.name == "10.0.0.7:7001"
    assert access.pool("10.0.0.7", 7001).connection_kwargs["password"] == "other"
    assert access.pool("10.0.0.7", 7001).connection_class is access.pool().connection_class
