"""An AsyncAPI 3.0 document of all topics, for code generators, catalogues and people who know neither us nor Python.

Written from the shop's side: it sends what topics of the registry say the shop writes, and receives the rest. Channels
are the topics with their Kafka settings; one message for each `type` of event, with our JSON Schemas, the headers that
CloudEvents has there, and the key. `headrace schemas export --asyncapi FILE` writes it. The price: JSON Schema is said
twice, here with all definitions in one place, since AsyncAPI has no definitions of a message's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from schemas import cloudevents, deadletters
from schemas.decode import Reason
from schemas.jsonschema import SHAPES, clean, keyed, members_of
from schemas.topics import DEAD_LETTERS, TOPICS, Topic, partitions_of
from schemas.tracing import MOST_BYTES, TRACEPARENT

BINDING: Final = "0.5.0"
SHOP: Final = "the shop"
JSON: Final = "application/json"
_TEXT: Final = {"type": "string"}

SERVERS: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "plain": ("kafka", "Neither TLS nor a login.", ()),
    "tls": ("kafka-secure", "TLS, with or without a certificate of the client's.", ("certificate",)),
    "login": ("kafka-secure", "TLS and a login.", ("plain", "scramSha256", "scramSha512")),
}
SECURITY: Final = {
    "certificate": {"type": "X509", "description": "Mutual TLS: the client's certificate."},
    "plain": {"type": "plain", "description": "SASL PLAIN."},
    "scramSha256": {"type": "scramSha256", "description": "SASL SCRAM-SHA-256."},
    "scramSha512": {"type": "scramSha512", "description": "SASL SCRAM-SHA-512."},
}


def document(version: str, partitions: int, replicas: int) -> dict[str, Any]:
    """The whole document; `version` is ours, the others are what `headrace topics create` would make."""
    messages, names = _messages()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "A shop beside Headrace",
            "version": version,
            "description": "Events go in, fraud decisions and anomalies come out.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": JSON,
        "servers": {name: _server(*said) for name, said in SERVERS.items()},
        "channels": {
            name: _channel(topic, partitions_of(topic, partitions), replicas, names[name])
            for name, topic in TOPICS.items()
        },
        "operations": {f"{_action(topic)}-{name}": _operation(topic, names[name]) for name, topic in TOPICS.items()},
        "components": {"messages": messages, "schemas": _schemas(), "securitySchemes": SECURITY},
    }


def _server(protocol: str, description: str, security: Iterable[str]) -> dict[str, Any]:
    schemes = [{"$ref": f"#/components/securitySchemes/{name}"} for name in security]
    return {
        "host": "{broker}",
        "protocol": protocol,
        "description": description,
        "variables": {"broker": {"default": "127.0.0.1:9092", "description": "host:port of any broker"}},
        **({"security": schemes} if schemes else {}),
    }


def _channel(topic: Topic, partitions: int, replicas: int, names: Iterable[str]) -> dict[str, Any]:
    config = {
        "cleanup.policy": [topic.cleanup],
        "retention.ms": topic.retention_ms,
        "max.message.bytes": topic.max_message_bytes,
    }
    kafka = {"partitions": partitions, "replicas": replicas, "topicConfiguration": config, "bindingVersion": BINDING}
    return {
        "address": topic.name,
        "description": topic.doc,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {"kafka": kafka},
    }


def _action(topic: Topic) -> str:
    return "send" if topic.writer == SHOP else "receive"


def _operation(topic: Topic, names: Iterable[str]) -> dict[str, Any]:
    return {
        "action": _action(topic),
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": topic.doc,
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{name}"} for name in names],
    }


def _messages() -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Every message by its name, and the names that each topic carries."""
    messages: dict[str, Any] = {}
    names: dict[str, list[str]] = {}
    for name, topic in TOPICS.items():
        made = _dead_letter(topic) if name.endswith(DEAD_LETTERS) else _of_topic(topic)
        messages |= made
        names[name] = list(made)
    return messages, names


def _of_topic(topic: Topic) -> dict[str, Any]:
    """One message for each shape: named by its `type`, or by the topic where it has none."""
    members = members_of(SHAPES[topic.name])
    return {
        name: _message(topic, name, (member.__doc__ or "").strip(), _headers(topic))
        | {"payload": {"$ref": f"#/components/schemas/{member.__name__}"}}
        for member in members
        for name in [str(member.__struct_config__.tag or topic.name)]
    }


def _message(topic: Topic, name: str, summary: str, headers: dict[str, Any] | None) -> dict[str, Any]:
    key = {**_TEXT, "description": topic.key}
    return {
        "name": name,
        "title": name,
        "summary": summary.split("\n")[0],
        "contentType": JSON,
        **({"headers": headers} if headers else {}),
        "bindings": {"kafka": {"key": key, "bindingVersion": BINDING}},
    }


def _headers(topic: Topic) -> dict[str, Any] | None:
    """CloudEvents' attributes and the trace; none is required: of events they decide nothing, ours can be left out."""
    ours = topic.name in cloudevents.TYPES
    if not ours and topic.writer != SHOP:
        return None
    fixed = {"source": cloudevents.SOURCE, "type": cloudevents.TYPES[topic.name]} if ours else {}
    said = {name: {**_TEXT, "const": value} for name, value in {"specversion": "1.0", **fixed}.items()}
    attributes = {f"ce_{name}": said.get(name, _TEXT) for name in ("specversion", "id", "source", "type", "time")}
    others = {"content-type": {**_TEXT, "const": JSON}, TRACEPARENT: {**_TEXT, "maxLength": MOST_BYTES}}
    return {"type": "object", "properties": {**attributes, **others}}


def _dead_letter(topic: Topic) -> dict[str, Any]:
    """Whatever came, with the reason in the headers."""
    names = (deadletters.PATH, deadletters.DETAIL, deadletters.TOPIC)
    numbers = (deadletters.PARTITION, deadletters.OFFSET, deadletters.TIMESTAMP, deadletters.ATTEMPT)
    properties = {
        deadletters.REASON: {**_TEXT, "enum": [reason.value for reason in Reason]},
        **dict.fromkeys(names, _TEXT),
        **{name: {**_TEXT, "pattern": "^[0-9]+$"} for name in numbers},
    }
    headers = {"type": "object", "properties": properties, "required": list(properties)}
    message = _message(topic, topic.name, topic.doc, headers)
    return {topic.name: {**message, "contentType": "application/octet-stream"}}


def _schemas() -> dict[str, Any]:
    """Every definition once, under the name of its structure."""
    shapes = [member for shape in SHAPES.values() for member in members_of(shape)]
    _, drawn = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    found: dict[str, Any] = clean(keyed(drawn, shapes))
    return dict(sorted(found.items()))
