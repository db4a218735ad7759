"""A cluster of three stores with one third of the slots each, as child processes: to kill one of them.

Another number of them can be had (bench/full_vector.py). All write as the embedded store does (`appendfsync always`),
so a node that is killed comes back with all it said.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from streams.embedded.processes import LOCALHOST, Children, StartError, free_port
from streams.embedded.store import Store, start_store

SLOTS = 16384
NODES = 3
JOIN_S = 20.0
NODE_TIMEOUT_MS = 1000


@dataclass(slots=True)
class StoreCluster:
    """Masters without replicas; `nodes[i].child` can be killed and `nodes[i].start_again()` brings it back."""

    nodes: list[Store]

    @property
    def url(self) -> str:
        """Any node tells of the others."""
        return self.nodes[0].url

    def wait_until_whole(self, within_s: float = JOIN_S) -> None:
        """Until every node agrees that all slots are served, as after a restart."""
        until = time.monotonic() + within_s
        while not all(
            _says(node.port, "CLUSTER INFO", "cluster_state:ok", f"cluster_known_nodes:{len(self.nodes)}")
            for node in self.nodes
        ):
            if time.monotonic() > until:
                raise StartError(f"the cluster of {len(self.nodes)} is not whole after {within_s:g} s")
            time.sleep(0.05)


def start_store_cluster(
    children: Children, count: int = NODES, config: Mapping[str, str] | None = None
) -> StoreCluster:
    """A fresh cluster on free ports; `config` as of `start_store`."""
    buses = [free_port() for _ in range(count)]
    nodes = [
        start_store(
            children,
            free_port(),
            {
                **(config or {}),
                "cluster-enabled": "yes",
                "cluster-config-file": "nodes.conf",
                "cluster-node-timeout": str(NODE_TIMEOUT_MS),
                "cluster-port": str(bus),
                "cluster-announce-ip": LOCALHOST,
            },
            name=f"store-{place}",
        )
        for place, bus in enumerate(buses)
    ]
    for place, node in enumerate(nodes):
        first, end = place * SLOTS // count, (place + 1) * SLOTS // count
        _ask(node.port, f"CLUSTER SET-CONFIG-EPOCH {place + 1}")
        _ask(node.port, f"CLUSTER ADDSLOTSRANGE {first} {end - 1}")
        _ask(nodes[0].port, f"CLUSTER MEET {LOCALHOST} {node.port} {buses[place]}") if place else None
    cluster = StoreCluster(nodes)
    cluster.wait_until_whole()
    return cluster


def _ask(port: int, command: str) -> str:
    """One inline command; its answer must be short and no error."""
    with socket.create_connection((LOCALHOST, port), 2.0) as link:
        link.sendall(command.encode() + b"\r\n")
        answer = link.recv(65536).decode()
    if answer.startswith("-"):
        raise StartError(f"{command!r} at port {port} was answered {answer.strip()!r}")
    return answer


def _says(port: int, command: str, *words: str) -> bool:
    answer = _ask(port, command)
    return all(word in answer for word in words)
