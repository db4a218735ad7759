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
