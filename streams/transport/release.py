"""Which release of Apache Kafka a broker is: it never says, and tells by the features that it knows.

ApiVersions v3 carries them. `metadata.version` is a number that rises with each release that changes how KRaft writes
its metadata: the highest that a broker knows tells its release, the one in force what the cluster keeps to
(brokers are upgraded first, then the cluster with `kafka-features.sh`). The price: a list of numbers to add to; a
number beyond it is told as such. Brokers without KRaft, and of other makers, tell of none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from streams.transport.aio import (
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Request,
    RequestStruct,
    Response,
    ResponseHeader_v0,
    Schema,
    TaggedFields,
)

METADATA = "metadata.version"
LEVELS = (  # from 1 on, as MetadataVersion.java has them
    "3.0-IV1", "3.1-IV0", "3.2-IV0", "3.3-IV0", "3.3-IV1", "3.3-IV2", "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1",
    "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2", "3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0",
    "3.9-IV0", "4.0-IV0", "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0",
)  # fmt: skip
SUPPORTED, IN_FORCE = 0, 2  # tags of the answer

_FEATURES = CompactArray(("name", CompactString("utf-8")), ("one", Int16), ("other", Int16), ("tags", TaggedFields))


@dataclass(frozen=True, slots=True)
class Release:
    """Levels of `metadata.version`; 0: not told."""

    known: int = 0  # the highest that the broker knows
    in_force: int = 0

    @property
    def said(self) -> str:
        """In words."""
        if not self.known:
            return "Apache Kafka 2.8 or newer"
        newer = self.known > len(LEVELS)
        name = named(min(self.known, len(LEVELS))).partition("-")[0]
        kept_to = f" ({METADATA} {named(self.in_force)})" if self.in_force else ""
        return f"Apache Kafka {name}{' or newer' if newer else ''}{kept_to}"


def named(level: int) -> str:
    """`4.1-IV1` for 27; the number itself where we know no name."""
    return LEVELS[level - 1] if 0 < level <= len(LEVELS) else str(level)


def release_of(tags: Mapping[int, bytes]) -> Release:
    """What an answer's tagged fields say."""
    known = {name: highest for name, _, highest, _ in _features(tags.get(SUPPORTED))}
    in_force = {name: highest for name, highest, _, _ in _features(tags.get(IN_FORCE))}
    return Release(known.get(METADATA, 0), in_force.get(METADATA, 0))


def _features(written: bytes | None) -> list[Any]:
    return _FEATURES.decode(BytesIO(written)) if written else []


class ApiVersionsResponse_v3(Response):  # type: ignore[misc] # untyped base # noqa: N801
    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "apis",
            CompactArray(("api_key", Int16), ("least", Int16), ("most", Int16), ("tags", TaggedFields)),
        ),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


class ApiVersionsRequest_v3(RequestStruct):  # type: ignore[misc] # untyped base # noqa: N801
    API_KEY = 18
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = ApiVersionsResponse_v3
    SCHEMA = Schema(("name", CompactString("utf-8")), ("version", CompactString("utf-8")), ("tags", TaggedFields))

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> Any:
        """Of this answer alone the header is never flexible: who asks may not know yet what the broker speaks."""
        return ResponseHeader_v0.decode(read_buffer)


class FeaturesRequest(Request[ApiVersionsRequest_v3]):  # type: ignore[misc] # untyped base
    """What the broker speaks, and its features."""

    API_KEY = 18

    def build(self, request_struct_class: type[ApiVersionsRequest_v3]) -> ApiVersionsRequest_v3:
        return request_struct_class("headrace", "1", {})
