"""A static member says its name with every request, so that the group can say that another has taken its place.

aiokafka says the name only where it joins. To the heartbeats and commits of a member that was replaced the broker then
answers "unknown member"; aiokafka forgets its member id, joins anew under the same name and so throws the newer one
out, which does the same: two workers of one slot take turns for ever. With the name the answer is FENCED_INSTANCE_ID,
which ends the older one (consumer.py). A member that the group has merely forgotten still joins anew.

Every broker since Apache Kafka 2.3 knows both requests. The price: attributes of aiokafka's coordinator and of two of
its requests, pinned by tests/contract/test_faust_internals.py.
"""

from __future__ import annotations

from typing import Any

from streams.transport.aio import (
    Array,
    HeartbeatRequest,
    Int16,
    Int32,
    Int64,
    OffsetCommitRequest,
    Request,
    RequestStruct,
    Response,
    Schema,
    String,
)

NO_EPOCH = -1
MEMBER = (
    ("group", String("utf-8")),
    ("generation_id", Int32),
    ("member_id", String("utf-8")),
    ("group_instance_id", String("utf-8")),
)


class HeartbeatResponse_v3(Response):  # type: ignore[misc] # untyped base # noqa: N801
    API_KEY = 12
    API_VERSION = 3
    SCHEMA = Schema(("throttle_time_ms", Int32), ("error_code", Int16))


class HeartbeatRequest_v3(RequestStruct):  # type: ignore[misc] # untyped base # noqa: N801
    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = HeartbeatResponse_v3
    SCHEMA = Schema(
        *MEMBER,
    )


class NamedHeartbeat(Request[HeartbeatRequest_v3]):  # type: ignore[misc] # untyped base
    """A sign of life of a static member."""

    API_KEY = 12

    def __init__(self, group: str, generation: int, member_id: str, name: str) -> None:
        self._fields = (group, generation, member_id, name)

    def build(self, request_struct_class: type[HeartbeatRequest_v3]) -> HeartbeatRequest_v3:
        return request_struct_class(*self._fields)


class OffsetCommitResponse_v7(Response):  # type: ignore[misc] # untyped base # noqa: N801
    API_KEY = 8
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                ("partitions", Array(("partition", Int32), ("error_code", Int16))),
            ),
        ),
    )


class OffsetCommitRequest_v7(RequestStruct):  # type: ignore[misc] # untyped base # noqa: N801
    API_KEY = 8
    API_VERSION = 7
    RESPONSE_TYPE = OffsetCommitResponse_v7
    SCHEMA = Schema(
        *MEMBER,
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                (
                    "partitions",
                    Array(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", String("utf-8")),
                    ),
                ),
            ),
        ),
    )


Offsets = list[tuple[str, list[tuple[int, int, str]]]]  # by topic: partition, offset, metadata


class NamedCommit(Request[OffsetCommitRequest_v7]):  # type: ignore[misc] # untyped base
    """Offsets that a static member commits."""

    API_KEY = 8

    def __init__(self, group: str, generation: int, member_id: str, name: str, offsets: Offsets) -> None:
        topics = [(topic, [(number, at, NO_EPOCH, note) for number, at, note in of]) for topic, of in offsets]
        self._fields = (group, generation, member_id, name, topics)

    def build(self, request_struct_class: type[OffsetCommitRequest_v7]) -> OffsetCommitRequest_v7:
        return request_struct_class(*self._fields)


def named(request: Any, name: str) -> Any:
    """The request with the member's name where aiokafka leaves it out; any other one as it is."""
    if isinstance(request, HeartbeatRequest):
        return NamedHeartbeat(request._group, request._generation_id, request._member_id, name)
    if isinstance(request, OffsetCommitRequest):
        return NamedCommit(
            request._consumer_group,
            request._consumer_group_generation_id,
            request._consumer_id,
            name,
            request._topics,
        )
    return request


def say_name(coordinator: Any) -> None:
    """Makes a coordinator of aiokafka's say the name in all that it asks from now on; one without a name stays."""
    name, send = coordinator._group_instance_id, coordinator._send_req

    async def send_named(request: Any) -> Any:
        return await send(named(request, name))

    if name is not None:
        coordinator._send_req = send_named
