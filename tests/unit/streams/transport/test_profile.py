"""Profiles: which broker answers, and what the user may change."""

from typing import Any

import pytest

from streams.transport.profile import EMBEDDED, EMBEDDED_CLUSTER, KAFKA, Kind, profile_of


class Log:
    def __init__(self, cluster: str) -> None:
        self._cluster = cluster

    async def cluster(self) -> str:
        return self._cluster


@pytest.mark.parametrize(
    ("kind", "cluster", "name"),
    [
        ("auto", EMBEDDED_CLUSTER, "embedded"),
        ("auto", "MkU3OEVBNTcwNTJENDM2Qg", "kafka"),
        ("kafka", EMBEDDED_CLUSTER, "kafka"),
        ("embedded", "x", "embedded"),
    ],
)
async def test_the_profile_is_that_of_the_cluster_unless_named(kind: Kind, cluster: str, name: str) -> None:
    log: Any = Log(cluster)
    assert (await profile_of(kind, log)).name == name


def test_heartbeats_fit_thrice_into_a_session_that_the_user_shortened() -> None:
    assert KAFKA.with_(session_timeout_ms=1_500).heartbeat_ms == 500
    assert KAFKA.with_().heartbeat_ms == KAFKA.heartbeat_ms


def test_a_fetch_wait_of_the_users_holds() -> None:
    assert EMBEDDED.with_(fetch_wait_ms=7).fetch_wait_ms == 7
