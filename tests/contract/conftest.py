"""The stores that the contract is held against: memory, one Valkey with 16 shards, a cluster of three. And the
places of files: a folder, a bucket.

`CONTRACT_STORE_URL` adds another server, whose data it empties: so the contract is run on Redis.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from storage.places import Place, place_of
from streams.protocol.memory import MemoryStore
from streams.protocol.ports import Store
from streams.stores.nodes import Access
from streams.stores.valkey import ValkeyStore
from tests.contract.stores import LIMITS, SESSION_TTL_MS, SHARDS, TTL_MS
from tests.support.s3 import S3
from tests.support.valkey import cluster_client

ELSEWHERE = "CONTRACT_STORE_URL"
REAL = ["valkey", "valkey_cluster", *(["elsewhere"] if ELSEWHERE in os.environ else [])]


def emptied(request: pytest.FixtureRequest) -> str:
    """The address of the real store that a fixture is parametrised with, without its data."""
    kind = request.param
    address = os.environ[ELSEWHERE] if kind == "elsewhere" else str(request.getfixturevalue(kind).url)
    if kind == "valkey_cluster":
        with cluster_client(address) as cluster:
            cluster.flushall(target_nodes=redis.RedisCluster.PRIMARIES)
    else:
        with redis.Redis.from_url(address) as server:
            server.flushall()
    return address


def real_store(address: str) -> ValkeyStore:
    ttls_ms = {"session": SESSION_TTL_MS}
    return ValkeyStore(Access(address), SHARDS, limits=LIMITS, ttl_ms=TTL_MS, ttls_ms=ttls_ms)


@pytest.fixture(params=["memory", *REAL])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """Any store: what the contract is held against."""
    if request.param == "memory":
        yield MemoryStore(SHARDS, lambda: time.time_ns() // 1000, LIMITS)
        return
    async with real_store(emptied(request)) as real:
        yield real


@pytest.fixture(params=REAL)
def url(request: pytest.FixtureRequest) -> str:
    """A real store, empty."""
    return emptied(request)


@pytest.fixture
async def real(url: str) -> AsyncIterator[ValkeyStore]:
    async with real_store(url) as store:
        yield store


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place where nothing lies yet."""
    if request.param == "folder":
        return place_of(f"file://{tmp_path}/place")
    server: S3 = request.getfixturevalue("s3")
    for name, value in server.credentials.items():
        monkeypatch.setenv(name, value)
    return place_of(server.url.replace("/history", f"/{uuid4().hex}"))
