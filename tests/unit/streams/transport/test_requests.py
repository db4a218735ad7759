"""Requests of ours: they survive their own encoding, and ask what they say."""

from io import BytesIO
from typing import Any

from streams.transport.requests import (
    DescribeGroupsRequest_v3,
    DescribeGroupsResponse_v3,
    MetadataRequest_v12,
    MetadataResponse_v12,
    OffsetFetchRequest_v7,
    PermittedRequest,
    StableOffsetRequest,
    TopicsRequest,
)

VERSIONS = {3: (0, 12), 9: (0, 7), 15: (0, 6)}


def test_topics_are_asked_by_name_and_none_is_created() -> None:
    request = MetadataRequest_v12.decode(BytesIO(TopicsRequest(["orders"]).prepare(VERSIONS).encode()))
    assert [name for _, name, _ in request.topics] == ["orders"]
    assert not request.allow_auto_topic_creation
    assert request.include_topic_authorized_operations


def test_stable_offsets_are_what_is_asked_for() -> None:
    request = OffsetFetchRequest_v7.decode(BytesIO(StableOffsetRequest("g", "orders", 3).prepare(VERSIONS).encode()))
    assert (request.group, request.topics, request.require_stable) == ("g", [("orders", [3], {})], True)


def test_a_topics_id_is_read_from_the_answer() -> None:
    topic: tuple[Any, ...] = (0, "orders", bytes(range(16)), False, [(0, 0, 1, 0, [1], [1], [], {})], 0, {})
    answer = MetadataResponse_v12(0, [(1, "host", 9092, None, {})], "cluster", 1, [topic], {})
    decoded = MetadataResponse_v12.decode(BytesIO(answer.encode()))
    assert (decoded.cluster_id, decoded.topics[0][2].hex()) == ("cluster", "000102030405060708090a0b0c0d0e0f")


def test_what_we_may_do_with_a_group_is_asked_and_read() -> None:
    request = DescribeGroupsRequest_v3.decode(BytesIO(PermittedRequest("g").prepare(VERSIONS).encode()))
    assert (request.groups, request.include_authorized_operations) == (["g"], True)
    answer = DescribeGroupsResponse_v3(0, [(0, "g", "Empty", "consumer", "", [], 8)])
    assert DescribeGroupsResponse_v3.decode(BytesIO(answer.encode())).groups[0][-1] == 8
