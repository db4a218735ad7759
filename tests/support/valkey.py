"""Real stores for tests: one server, or a cluster of three (the launcher of bench/crash.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from streams.chaos.cluster import StoreCluster as ValkeyCluster
from streams.chaos.cluster import start_store_cluster as start_valkey_cluster
from streams.embedded.processes import Children, free_port
from streams.embedded.store import Store, start_store

__all__ = ["ValkeyCluster", "cluster_client", "start_valkey", "start_valkey_cluster"]


def start_valkey(children: Children, name: str = "valkey") -> Store:
    """A fresh, empty server."""
    return start_store(children, free_port(), name=name)


@contextmanager
def cluster_client(url: str) -> Iterator[redis.RedisCluster]:
    """redis-py's, and closed: its own `close` leaves the sockets to the garbage collector, which then may complain of
    them in any later test.
    """
    client = redis.RedisCluster.from_url(url)
    try:
        yield client
    finally:
        client.disconnect_connection_pools()  # type: ignore[no-untyped-call]  # redis-py has no type for it
        client.close()
