"""The routes of `/v1`: each a question to what is in memory or in the store, and its answer as a type."""

from __future__ import annotations

import asyncio
import json
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Any, Final, TypeVar
from uuid import uuid4

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from msgspec import to_builtins

from features.reading import unit_of
from schemas.decisions import DecisionLog
from schemas.money import exponent
from schemas.timestamps import rfc3339
from schemas.topics import MAX_RECORD_BYTES
from serving import answers
from serving.described import order_body
from serving.parts import Parts, measured
from serving.problems import Fault, ProblemError
from serving.problems import answers as errors
from serving.recent import Seen
from streams.assess import RefusedError
from streams.reading import readings

MOST: Final = 200  # of a page
BODY_WITHIN_S: Final = 10.0
T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=MOST, description="how many at most")]
Cursor = Annotated[int | None, Query(ge=0, description="`next` of the page before")]


def routes(parts: Parts) -> APIRouter:
    """Bound to what they ask."""
    router = APIRouter(prefix="/v1")
    for add in (_status, _decisions, _anomalies, _entities, _in_force, _assess):
        add(router, parts)
    return router


def _status(router: APIRouter, parts: Parts) -> None:
    @router.get("/status", tags=["stream"])
    async def status() -> answers.Status:
        """How the stream stands: what topics carry, what was decided of late."""
        seen = [one for _, one in parts.recent.decisions.newest()]
        return answers.Status(
            topics=[answers.Topic(**to_builtins(one)) for one in parts.traffic.carried],
            decisions=Counter(one.decision.action for one in seen),
            anomalies=Counter(one.kind for _, one in parts.recent.anomalies.newest()),
            newest_ms=max((one.published_ms for one in seen), default=None),
            looked_ms=parts.traffic.looked_ms,
        )


def _decisions(router: APIRouter, parts: Parts) -> None:
    @router.get("/decisions", tags=["decisions"])
    async def decisions(
        limit: Limit = 50,
        cursor: Cursor = None,
        action: Annotated[answers.Action | None, Query(description="only these")] = None,
        user_id: Annotated[str | None, Query(max_length=256, description="only of this account")] = None,
    ) -> answers.Page:
        """The newest decisions that are in memory, newest first. Older ones: `headrace explain`."""

        def like(one: Seen) -> bool:
            of = one.decision
            return (action is None or of.action == action) and (user_id is None or of.user_id == user_id)

        items, after = paged(parts.recent.decisions.newest(cursor, like), limit)
        return answers.Page(items=[_seen(one) for one in items], next=after)

    @router.get("/decisions/{id}", tags=["decisions"], responses=errors(HTTPStatus.NOT_FOUND))
    async def decision(
        id: Annotated[str, Path(description="the decision's id, or its order's")],  # noqa: A002 - its name in the path
    ) -> answers.Explained:
        """One decision by its id or its order's, with what it was made of."""
        seen, log = parts.decision(id)
        return answers.Explained(decision=_seen(seen), log=None if log is None else _log(parts, log))


def paged(newest: Iterator[tuple[int, T]], limit: int) -> tuple[list[T], str | None]:
    """The first so many, and the cursor of those that follow; None where nothing does."""
    some = list(islice(newest, limit + 1))
    return [one for _, one in some[:limit]], str(some[limit - 1][0]) if len(some) > limit else None


def _seen(one: Seen) -> answers.Seen:
    return answers.Seen(**to_builtins(one.decision), published_ms=one.published_ms)


def _log(parts: Parts, log: DecisionLog) -> answers.Log:
    vector = parts.definitions.vector
    named = dict(zip(vector.names, log.vector, strict=True)) if log.feature_hash == vector.hash else None
    return answers.Log(
        topic=log.topic,
        partition=log.partition,
        offset=log.offset,
        amount_minor=log.amount_minor,
        members=log.members,
        vector=named,
    )


def _anomalies(router: APIRouter, parts: Parts) -> None:
    @router.get("/anomalies", tags=["sessions"])
    async def anomalies(limit: Limit = 50, cursor: Cursor = None) -> answers.Anomalies:
        """The newest unusual sessions that are in memory, newest first."""
        items, after = paged(parts.recent.anomalies.newest(cursor), limit)
        return answers.Anomalies(items=[answers.Anomaly(**to_builtins(one)) for one in items], next=after)


def _entities(router: APIRouter, parts: Parts) -> None:
    groups = {group.name: group for group in parts.definitions.groups}
    words, base = parts.words, parts.settings.money.base

    def _feature(name: str, value: float | None, unit: str, what: str) -> answers.Feature:
        if unit == "amount":
            value, unit = None if value is None else value / 10 ** exponent(base), base
        return answers.Feature(name=name, value=value, unit=unit, what=what)

    @router.get(
        "/entities/{group}/{id}",
        tags=["features"],
        responses=errors(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
    )
    async def entity(
        group: Annotated[str, Path(description="such as `user`; another is answered by those there are")],
        id: Annotated[str, Path(description="as events write it")],  # noqa: A002 - its name in the path
    ) -> answers.Entity:
        """What is known of an entity now, such as `/v1/entities/user/u-1`. The ids are as events write them."""
        if group not in groups:
            raise ProblemError(HTTPStatus.NOT_FOUND, f"no group {group}", f"one of {', '.join(groups)}")
        at_ms = time.time_ns() // 1_000_000
        (found,) = await readings(parts.store, groups[group], [id], at_ms)
        if found is None:
            raise ProblemError(
                HTTPStatus.NOT_FOUND, f"the store has nothing of {group} {id}", "an id is taken as events write it"
            )
        told = [
            _feature(name, value, unit_of(feature), words[name])
            for (name, value), feature in zip(found.values.items(), groups[group].features, strict=True)
        ]
        return answers.Entity(group=group, id=id, at_ms=at_ms, newest_ms=found.newest_ms, features=told)


def _in_force(router: APIRouter, parts: Parts) -> None:
    @router.get("/models", tags=["models"])
    async def models() -> answers.InForce:
        """Which models decide, and which cannot be used."""
        choice = parts.force.choice
        deployment, own = choice.deployment, choice.configuration
        return answers.InForce(
            deployment=deployment.number,
            since_ms=deployment.at_ms,
            champion=deployment.champion.label if deployment.champion else None,
            rules_only=deployment.rules_only,
            challengers=[ref.label for ref in deployment.challengers],
            online={member: ref.label for member, ref in deployment.online.items()},
            refused=dict(choice.refused),
            model=answers.Model(name=own.model_name, version=own.model_version),
            metrics=dict(measured(own)),
            config=own.id,
        )

    @router.get("/rules", tags=["models"])
    async def rules() -> answers.Rules:
        """The rules that decide, as their file has them."""
        own, file = parts.force.choice.configuration.rules, tomllib.loads(parts.rules)
        return answers.Rules(
            version=own.fingerprint,
            review_at=own.review_at,
            block_at=own.block_at,
            rules=[_rule(one) for one in file.get("rule", [])],
            session_rules=[_rule(one) for one in file.get("session_rule", [])],
        )


def _rule(one: dict[str, Any]) -> answers.Rule:
    return answers.Rule.model_validate({name: one.get(name) for name in answers.Rule.model_fields})


async def _body(request: Request) -> bytes:
    """What was sent, as far as an event may go: nobody fills our memory, or keeps a connection for ever."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_RECORD_BYTES:
                    raise ProblemError(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                        f"the body has more than {MAX_RECORD_BYTES:,} bytes",
                        "no event may have more: see docs/events.md",
                    )
    except TimeoutError as error:
        raise ProblemError(
            HTTPStatus.REQUEST_TIMEOUT, f"the body was not there within {BODY_WITHIN_S:.0f} s", "send it whole"
        ) from error
    return bytes(body)


def _object(body: bytes) -> dict[str, Any]:
    """Whatever media type was said: curl says of JSON that it is a form."""
    try:
        found = json.loads(body)
    except ValueError as error:  # of its bytes, too
        raise _unreadable(f"it is no JSON: {error}") from error
    except RecursionError as error:
        raise _unreadable("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise _unreadable(f"want an object, got {type(found).__name__}")
    return found


def _unreadable(why: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "the body cannot be read",
        "send the order as JSON",
        [Fault(path="$", detail=why)],
    )


def _assess(router: APIRouter, parts: Parts) -> None:
    """Where the definitions decide orders: one with an adapter of its own decides nothing that could be said here."""
    if parts.assessor.flow is None:
        return

    @router.post(
        "/fraud/orders",
        tags=["decisions"],
        response_model=answers.Assessed,
        responses=errors(
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
        openapi_extra=order_body(own=parts.settings.features is not None),
    )
    async def assess(request: Request) -> Response:
        """What would be decided if this order came now. Nothing is written and nothing published.

        The order is written as in topic `orders`; without `event_id` or `event_time` it gets a name and now.
        """
        order = _object(await _body(request))
        filled = {"event_id": f"assessed-{uuid4().hex}", "event_time": rfc3339(time.time_ns() // 1_000_000), **order}
        try:  # not by orjson, which refuses some of what a body may hold: the decoder has the last word
            found = await parts.assessor.assess(json.dumps(filled).encode(), parts.force.choice.configuration)
        except RefusedError as refused:
            fault = Fault(path=refused.fault.path, detail=refused.fault.detail)
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY, "the order would be a dead letter", "see docs/events.md", [fault]
            ) from refused
        # A type of pydantic's for 292 numbers would cost as much as all the rest; a test holds the two together.
        return Response(msgspec.json.encode(found), media_type="application/json")
