"""A broker's release is told by the features it knows."""

from __future__ import annotations

from io import BytesIO

import pytest

from streams.transport.release import (
    ApiVersionsRequest_v3,
    ApiVersionsResponse_v3,
    FeaturesRequest,
    Release,
    named,
    release_of,
)


@pytest.mark.parametrize(
    ("release", "said"),
    [
        (Release(27, 27), "Apache Kafka 4.1 (metadata.version 4.1-IV1)"),
        (Release(27, 21), "Apache Kafka 4.1 (metadata.version 3.9-IV0)"),  # brokers are upgraded, the cluster not yet
        (Release(1, 1), "Apache Kafka 3.0 (metadata.version 3.0-IV1)"),
        (Release(14, 0), "Apache Kafka 3.6"),
        (Release(99, 98), "Apache Kafka 4.3 or newer (metadata.version 98)"),
        (Release(), "Apache Kafka 2.8 or newer"),
    ],
)
def test_a_release_is_told_by_the_highest_level_that_the_broker_knows(release: Release, said: str) -> None:
    assert release.said == said


def test_a_level_without_a_name_is_a_number() -> None:
    assert (named(25), named(0), named(99)) == ("4.0-IV3", "0", "99")


def test_features_are_read_from_the_tags_of_the_answer() -> None:
    name = bytes([len("metadata.version") + 1]) + b"metadata.version"
    other = bytes([len("kraft.version") + 1]) + b"kraft.version"
    supported = b"\x03" + other + b"\x00\x00\x00\x01\x00" + name + b"\x00\x07\x00\x1b\x00"
    finalized = b"\x02" + name + b"\x00\x15\x00\x15\x00"
    assert release_of({0: supported, 1: bytes(8), 2: finalized}) == Release(27, 21)
    assert release_of({}) == Release()


def test_the_request_survives_its_own_encoding_and_the_answers_header_is_never_flexible() -> None:
    request = FeaturesRequest().prepare({18: (0, 4)})
    sent = ApiVersionsRequest_v3.decode(BytesIO(request.encode()))
    assert (sent.name, sent.API_VERSION) == ("headrace", 3)
    answer = BytesIO(b"\x00\x00\x00\x09" + ApiVersionsResponse_v3(0, [(18, 0, 4, {})], 0, {}).encode())
    assert request.parse_response_header(answer).correlation_id == 9
    assert ApiVersionsResponse_v3.decode(answer).apis == [(18, 0, 4, {})]
