"""Documents of topic `models`: read as they were written, and refused where a newer release wrote them."""

from __future__ import annotations

import json

import msgspec
import pytest

from schemas.decisions import NewerVersionError, encode
from schemas.deployments import (
    DEPLOYMENT_VERSION,
    Announced,
    Configured,
    Content,
    Deployment,
    Ref,
    configuration_key,
    decode_deployment,
)

A = Ref("shop", "7", "ab" * 32)
DEPLOYED = Deployment(3, A, (Ref("other", "1", "cd"),), {"fast": A}, 1_800_000_000_000, "better", "somebody")
CONFIGURED = Configured(
    "0123456789abcdef", Content("", {"model.json": "{}"}, "f" * 16, binary={"net.onnx": b"\x00\xff"})
)


@pytest.mark.parametrize("document", [DEPLOYED, CONFIGURED, Deployment.none()])
def test_what_is_written_is_read(document: Deployment | Configured) -> None:
    assert msgspec.json.decode(encode(document), type=Announced) == document


def test_a_document_says_what_it_is() -> None:
    assert json.loads(encode(DEPLOYED))["type"] == "deployment"
    assert json.loads(encode(CONFIGURED))["type"] == "configuration"
    assert configuration_key(CONFIGURED.config) == b"configuration:0123456789abcdef"


def test_what_a_later_release_adds_is_passed_over_and_a_later_version_refused() -> None:
    said = json.loads(encode(DEPLOYED))
    assert decode_deployment(json.dumps({**said, "share": 0.5}).encode()) == DEPLOYED
    with pytest.raises(NewerVersionError, match=f"reads up to {DEPLOYMENT_VERSION}: upgrade it"):
        decode_deployment(json.dumps({"version": DEPLOYMENT_VERSION + 1, "champion": 7}).encode())


def test_a_deployment_names_every_model_once_in_each_part() -> None:
    assert [ref.label for ref in DEPLOYED.refs] == ["shop/7", "other/1", "shop/7"]
    assert Deployment.none().refs == ()


DEPLOYMENT_1 = (
    b'{"type":"deployment","number":3,"champion":{"name":"shop","version":"7","model_hash":"'
    + b"ab" * 32
    + b'"},"challengers":[{"name":"other","version":"1","model_hash":"cd"}],"online":{"fast":{"name":"shop",'
    b'"version":"7","model_hash":"'
    + b"ab"
    * 32
    + b'"}},"at_ms":1800000000000,"why":"better","by":"somebody","rules_only":false,'
    b'"version":1}'
)
CONTENT_2 = (
    b'{"rules":"","model":{},"features":"ffff","words":{"a":"an a"},"version":2,"binary":{},"champion":'
    b'{"name":"shop","version":"7","model_hash":"ab"},"online":{"fast":{"name":"fast","version":"00000000000000000017",'
    b'"model_hash":"cd"}},"challengers":[{"name":"other","version":"1","model_hash":"ef"}]}'
)


def test_a_deployment_of_the_first_version_is_read_and_written_as_ever() -> None:
    assert decode_deployment(DEPLOYMENT_1) == DEPLOYED
    assert encode(DEPLOYED) == DEPLOYMENT_1


def test_a_configuration_of_before_sessions_had_a_model_is_read_as_ever_and_written_with_none() -> None:
    online, challenger = Ref("fast", "00000000000000000017", "cd"), Ref("other", "1", "ef")
    said = Content("", {}, "ffff", {"a": "an a"}, 2, {}, Ref("shop", "7", "ab"), {"fast": online}, (challenger,))
    assert msgspec.json.decode(CONTENT_2, type=Content) == said
    assert encode(said) == CONTENT_2.removesuffix(b"}") + b',"sessions":null}'
