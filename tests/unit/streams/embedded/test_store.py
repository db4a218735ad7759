"""The embedded store as a process: durable, never evicting, and gone after a failed start."""

import socket

import pytest
import redis

from streams.embedded.processes import Children, StartError, free_port
from streams.embedded.store import Store, answers, start_store


def test_it_writes_to_the_disk_before_it_answers_and_never_evicts(valkey: Store) -> None:
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        told = client.config_get("appendfsync", "appendonly", "maxmemory-policy")
    assert told == {"appendfsync": "always", "appendonly": "yes", "maxmemory-policy": "noeviction"}


def test_a_taken_port_is_a_failed_start_that_leaves_no_process(children: Children) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(StartError, match=r"store: port \d+ is taken"):
            start_store(children, other.getsockname()[1])
        assert children.children == []


def test_a_wrong_setting_is_told_in_the_stores_own_words(children: Children) -> None:
    with pytest.raises(StartError, match="no-such-setting"):
        start_store(children, free_port(), {"no-such-setting": "1"})


def test_a_port_where_nobody_listens_does_not_answer() -> None:
    assert not answers(free_port())
