"""A static member's requests say its name; everything else is asked as before."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from streams.transport.aio import HeartbeatRequest, OffsetCommitRequest
from streams.transport.membership import HeartbeatRequest_v3, OffsetCommitRequest_v7, named, say_name

VERSIONS = {8: (2, 9), 12: (0, 4)}
HEARTBEAT = HeartbeatRequest("g", 7, "member-1")


class Coordinator:
    """The two attributes of aiokafka's that are used."""

    def __init__(self, name: str | None) -> None:
        self._group_instance_id = name
        self.asked: list[Any] = []

    async def _send_req(self, request: Any) -> str:
        self.asked.append(request)
        return "answer"


def test_a_heartbeat_says_the_name() -> None:
    sent = HeartbeatRequest_v3.decode(BytesIO(named(HEARTBEAT, "g-0").prepare(VERSIONS).encode()))
    assert (sent.group, sent.generation_id, sent.member_id, sent.group_instance_id) == ("g", 7, "member-1", "g-0")


def test_a_commit_says_the_name_and_the_same_offsets() -> None:
    commit = OffsetCommitRequest("g", 7, "member-1", -1, [("orders", [(3, 42, "")])])
    sent = OffsetCommitRequest_v7.decode(BytesIO(named(commit, "g-0").prepare(VERSIONS).encode()))
    assert (sent.group, sent.generation_id, sent.member_id, sent.group_instance_id) == ("g", 7, "member-1", "g-0")
    assert sent.topics == [("orders", [(3, 42, -1, "")])]


async def test_a_static_member_says_it_from_then_on_and_what_it_knows_no_better_is_asked_as_it_is() -> None:
    coordinator: Any = Coordinator("g-0")
    say_name(coordinator)
    other = object()
    assert [await coordinator._send_req(HEARTBEAT), await coordinator._send_req(other)] == ["answer", "answer"]
    assert [type(coordinator.asked[0]).__name__, coordinator.asked[1]] == ["NamedHeartbeat", other]


async def test_an_ordinary_member_has_no_name_to_say() -> None:
    coordinator: Any = Coordinator(None)
    say_name(coordinator)
    await coordinator._send_req(HEARTBEAT)
    assert coordinator.asked == [HEARTBEAT]
