"""A rolling upgrade as a worker lives through it: functions of the next version, and a bag that it cannot read."""

from __future__ import annotations

import re

import redis

from features.entry import VERSION
from features.group import Group
from features.shop import USER
from streams.stores.keys import bag_key
from streams.stores.prepare import library
from tests.support.events import order
from tests.support.worker import Stream

SHARDS = 16


def next_library() -> str:
    """Our functions, a version later: of themselves and of what they write."""
    return re.sub(r"(?m)^local (REVISION|FORMAT) = (\d+)", lambda at: f"local {at[1]} = {int(at[2]) + 1}", library()[1])


def entry_of_next_version(group: Group) -> bytes:
    """The last byte of an entry holds version and layout."""
    return (1).to_bytes(8, "big") + bytes(31) + bytes([VERSION + 1 << 5 | group.layout])


async def test_a_worker_goes_on_under_newer_functions_and_stops_at_a_newer_bag_with_the_remedy(
    embedded_stream: Stream,
) -> None:
    worker = embedded_stream.worker()
    await embedded_stream.send(order("before"))
    await embedded_stream.settled(1)
    with redis.Redis.from_url(embedded_stream.store.url) as server:
        server.function_load(next_library(), replace=True)
        await embedded_stream.send(order("under", after_ms=1_000))
        await embedded_stream.settled(2)
        assert worker.child.running
        assert server.fcall_ro("headrace_1_revision", 0) == library()[0] + 1
        _, key = bag_key(USER.name, "u", SHARDS)
        server.append(key.decode(), entry_of_next_version(USER))
    await embedded_stream.send(order("after", after_ms=2_000))
    assert await worker.ended() == 2, worker.said
    assert f"version {VERSION + 1} and this worker reads up to {VERSION}: upgrade this worker" in worker.said
    assert "o-after" not in await embedded_stream.decisions()
    with redis.Redis.from_url(embedded_stream.store.url) as server:
        assert server.fcall_ro("headrace_1_revision", 0) == library()[0] + 1


async def test_a_command_that_meets_a_newer_bag_says_so_without_a_traceback(embedded_stream: Stream) -> None:
    worker = embedded_stream.worker()
    await embedded_stream.send(order("one"))
    await embedded_stream.settled(1)
    assert worker.terminate() == 0
    _, key = bag_key(USER.name, "u", SHARDS)
    with redis.Redis.from_url(embedded_stream.store.url) as server:
        server.append(key.decode(), entry_of_next_version(USER))
    code, _, errors = await embedded_stream.command("state", "dump")
    assert code == 2
    assert "upgrade this worker" in errors
    assert "Traceback" not in errors
