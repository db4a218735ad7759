"""What a key takes is what a real Valkey says that it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
import redis

from streams.embedded.store import Store
from streams.stores.memory import ids_bytes, key_bytes, tables_bytes

ENTRY = b"e" * 40
DAY_MS = 86_400_000
SPARE = 2 * 16  # the C library gives a piece away whole where what is left over would be too small for another


@pytest.fixture
def server(valkey: Store) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey.url) as connection:
        connection.flushall(asynchronous=False)
        if connection.info("memory")["mem_allocator"] != "libc":
            pytest.skip("the sizes held here are those of the C library")
        yield connection


def predicted(key: bytes, length: int, written: int) -> int:
    (found,) = key_bytes(len(key), np.array([length]), np.array([written]), len(ENTRY), "libc").tolist()
    return int(found)


@pytest.mark.parametrize("length", [40, 64, 80, 104, 120, 240, 256, 400, 800, 1_600, 4_000, 16_000, 70_000])
@pytest.mark.parametrize("name", [b"u1", b"user-1187", b"a-device-of-some-length-4711", b"d" * 60])
def test_a_value_written_in_one_piece(server: redis.Redis, name: bytes, length: int) -> None:
    key = b"{3}user:" + name
    server.set(key, b"v" * length, px=DAY_MS)
    assert predicted(key, length, length) == pytest.approx(server.memory_usage(key), abs=SPARE)


@pytest.mark.parametrize("written", [40, 416, 1_000])
def test_a_value_that_grows_by_entries(server: redis.Redis, written: int) -> None:
    key = b"{3}user:u-1187"
    server.set(key, b"v" * written, px=DAY_MS)
    for appended in range(1, 60):
        server.append(key, ENTRY)
        found = predicted(key, written + appended * len(ENTRY), written)
        assert found == pytest.approx(server.memory_usage(key), abs=SPARE)


@pytest.mark.parametrize("keys", [3_000, 30_000])
def test_the_tables_of_all_keys(server: redis.Redis, keys: int) -> None:
    calls = server.pipeline(transaction=False)
    for number in range(keys):
        calls.set(b"{3}user:%06d" % number, b"v" * 40, px=DAY_MS)
    calls.execute()
    while server.memory_stats()["db.dict.rehashing.count"]:
        time.sleep(0.05)
    told = server.memory_stats()["db.0"]
    of_tables = told["overhead.hashtable.main"] + told["overhead.hashtable.expires"] - 16 * keys
    assert tables_bytes(keys) == pytest.approx(of_tables, rel=0.05)


@pytest.mark.parametrize("records", [1, 10, 500])
def test_the_log_of_ids(server: redis.Redis, records: int) -> None:
    calls = server.pipeline(transaction=False)
    for number in range(1, 20_000 // records):
        calls.xadd("ids", {"clock_s": 1_790_000_000, "ids": b"i" * (8 + 24 * records)}, id=f"{number * records}-0")
    calls.execute()
    ids = (20_000 // records - 1) * records
    assert ids_bytes(ids, records) == pytest.approx(server.memory_usage("ids", samples=0), rel=0.15)
