"""Real stores for tests: one server, or a cluster of three (the launcher of bench/crash.py)."""

from __future__ import annotations

from streams.chaos.cluster import StoreCluster as ValkeyCluster
from streams.chaos.cluster import start_store_cluster as start_valkey_cluster
from streams.embedded.processes import Children, free_port
from streams.embedded.store import Store, start_store

__all__ = ["ValkeyCluster", "start_valkey", "start_valkey_cluster"]


def start_valkey(children: Children, name: str = "valkey") -> Store:
    """A fresh, empty server."""
    return start_store(children, free_port(), name=name)
