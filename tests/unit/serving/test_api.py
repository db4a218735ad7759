"""The API's types are those of the records, and it asks only for what the definitions can answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from fastapi import Request

from features.definitions import Definitions
from features.shop import shop_definitions
from schemas import decisions
from schemas.settings import Settings
from serving import answers, api
from serving.api import routes
from serving.problems import ProblemError
from streams.assess import Assessor

ASSESS = "/v1/fraud/orders"


@pytest.mark.parametrize(
    ("answer", "record"),
    [
        (answers.Decision, decisions.Decision),
        (answers.Anomaly, decisions.Anomaly),
        (answers.Reason, decisions.ReasonCode),
        (answers.Model, decisions.Model),
    ],
    ids=lambda kind: kind.__name__,
)
def test_an_answer_has_every_field_of_its_record_and_no_other(answer: Any, record: Any) -> None:
    assert {*answer.model_fields} == {one.name for one in msgspec.structs.fields(record)}


def paths(definitions: Definitions) -> set[str]:
    """What can be asked of a stream of these definitions."""
    assessor = Assessor(definitions, cast(Any, None))
    parts = SimpleNamespace(assessor=assessor, definitions=definitions, settings=Settings(), words={})
    return {getattr(route, "path", "") for route in routes(cast(Any, parts)).routes}


def test_orders_are_assessed_where_rules_and_models_decide_and_not_where_an_adapter_does() -> None:
    shop = shop_definitions()
    own = replace(shop, flows=tuple(replace(flow, outputs=lambda _: []) for flow in shop.flows))
    assert paths(shop) - paths(own) == {ASSESS}


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "BODY_WITHIN_S", 0.01)

    async def never() -> Any:
        await asyncio.Event().wait()

    with pytest.raises(ProblemError, match="was not there within") as error:
        await api._body(Request({"type": "http", "method": "POST", "headers": []}, never))
    assert error.value.status == 408
