"""The embedded store as a process: durable, never evicting, and gone after a failed start."""

import random
import re
import socket
from pathlib import Path

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


TOUCH = """
local bags = redis.call('MGET', unpack(KEYS))
for i = 1, #KEYS do
  if bags[i] then redis.call('APPEND', KEYS[i], ARGV[1]) else redis.call('SET', KEYS[i], ARGV[1], 'PX', 60000) end
end
return bags
"""


def come_and_go(client: redis.Redis, turns: int) -> None:
    """Bags of the newest 800 users grow, those of 6,000 users before are gone; 32 come each turn."""
    dice = random.Random(1)
    for first in range(0, 32 * turns, 32):
        pipeline = client.pipeline(transaction=False)
        for _ in range(8):
            users = [f"user:{dice.randrange(first - 800, first + 32)}" for _ in range(dice.choice((3, 10, 30, 60)))]
            pipeline.eval(TOUCH, len(users), *users, b"x" * dice.choice((40, 40, 48)))
        pipeline.delete(*(f"user:{user}" for user in range(first - 6_000, first - 5_968)))
        pipeline.execute()


def resident(store: Store) -> int:
    """Bytes of memory of its own."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{store.child.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells it there")
def test_bags_that_come_and_go_leave_no_holes(children: Children) -> None:
    store = start_store(children, free_port(), {"appendfsync": "no"})
    with redis.Redis.from_url(store.url) as client:
        before, given_before = resident(store), client.info("memory")["used_memory"]
        come_and_go(client, 1_200)
        held, given_out = resident(store) - before, client.info("memory")["used_memory"] - given_before
    assert held < 1.4 * given_out  # 1.25; with the allocator's cache of small pieces 1.63, and rising
