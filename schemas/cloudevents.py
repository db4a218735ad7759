"""CloudEvents 1.0 over Kafka: the headers of binary mode, and the envelope of structured mode.

Binary mode is what we write and what we ask for: the value is the event's own JSON, and `ce_*` headers say beside it
what it is, for routers and bridges that know nothing of shops. They decide nothing here: an event's identity is the
`event_id` of its value, whatever `ce_id` says, since headers are not in the archive's columns, not in the hash of a
payload and may be added on the way. In structured mode the value is an envelope with the event in `data`; it is opened
where a value is no event itself, so plain events pay nothing for it. The price: an envelope is read three times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

Headers = tuple[tuple[str, bytes], ...]

SOURCE: Final = "/headrace/worker"
TYPES: Final = {"fraud": "headrace.decision", "anomalies": "headrace.anomaly"}
"""What we publish for others, by topic: our own log needs no labels."""

_VERSION = ("ce_specversion", b"1.0")
_JSON = ("content-type", b"application/json")
_OURS: Final = {topic: (("ce_source", SOURCE.encode()), ("ce_type", kind.encode())) for topic, kind in TYPES.items()}


def headers_of(event: Mapping[str, Any], source: str) -> Headers:
    """The headers of an event of the shop; none where it has no id or no type, for then it is no CloudEvent."""
    event_id, type_, time = event.get("event_id"), event.get("type"), event.get("event_time")
    if not (isinstance(event_id, str) and event_id and isinstance(type_, str) and type_):
        return ()
    at = (("ce_time", time.encode()),) if isinstance(time, str) else ()
    return (
        _VERSION,
        ("ce_id", event_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", type_.encode()),
        *at,
        _JSON,
    )


def headers_each(topic: str, ids: Sequence[str], times: Sequence[str]) -> list[Headers]:
    """The headers of records of ours. Id and time are those of the value, so a repeat has the same bytes here too."""
    source, kind = _OURS[topic]
    return [
        (_VERSION, ("ce_id", id_.encode()), source, kind, ("ce_time", time.encode()), _JSON)
        for id_, time in zip(ids, times, strict=True)
    ]


class _Envelope(msgspec.Struct):
    """What makes a value a CloudEvent; `data` is whatever JSON it holds."""

    specversion: str
    id: str
    source: str
    type: str
    data: msgspec.Raw = msgspec.Raw()


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def data_of(value: bytes) -> bytes | None:
    """The `data` of a CloudEvent in structured mode, b"" where it has none as JSON; None where it is no CloudEvent."""
    try:
        return bytes(_decode_envelope(value).data)
    except (msgspec.MsgspecError, RecursionError):
        return None
