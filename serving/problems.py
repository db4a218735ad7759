"""Errors as problem documents (RFC 9457): what is wrong, where, and what mends it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from streams.protocol.ports import SinkDown, StoreDown

MEDIA: Final = "application/problem+json"
REQUEST_ID: Final = "x-request-id"


class Fault(BaseModel):
    """One thing that is wrong with what was sent."""

    path: str = Field(examples=["$.items[0].quantity"])
    detail: str = Field(examples=["Expected `int`, got `str`"])


class Problem(BaseModel):
    """RFC 9457, and what mends it."""

    type: str = Field(default="about:blank", description="always about:blank: `title` is the status's own")
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["no decision of order o-1 is in memory"])
    remedy: str = Field(default="", examples=["headrace explain o-1"])
    instance: str = Field(examples=["/v1/decisions/o-1"])
    request_id: str = Field(examples=["5f0c6f1a0a8e4f5e"])
    faults: list[Fault] = []


class ProblemError(Exception):
    """For a route to raise."""

    def __init__(self, status: HTTPStatus, detail: str, remedy: str = "", faults: list[Fault] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.remedy, self.faults = status, detail, remedy, faults or []


def answers(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """These errors, for a route's documentation."""
    return {int(one): {"model": Problem, "description": one.phrase, "content": {MEDIA: {}}} for one in statuses}


def handle(app: FastAPI) -> None:
    """Every error of the app becomes a problem document."""

    async def ours(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ProblemError)
        return told(request, error)

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        problem = ProblemError(status, f"{request.method} {request.url.path}: {status.description}", "see /docs")
        return told(request, problem, dict(error.headers or {}))

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        faults = [Fault(path=".".join(map(str, one["loc"])), detail=one["msg"]) for one in error.errors()]
        return told(
            request, ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "the request cannot be used", "see /docs", faults)
        )

    async def away(request: Request, error: Exception) -> JSONResponse:
        problem = ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, str(error), "headrace doctor")
        return told(request, problem, {"retry-after": "1"})

    async def bug(request: Request, _: Exception) -> JSONResponse:
        return told(request, ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "this is a bug of ours: see the log"))

    for kind, handler in (
        (ProblemError, ours), (HTTPException, http), (RequestValidationError, invalid), (StoreDown, away),
        (SinkDown, away), (Exception, bug),
    ):  # fmt: skip
        app.add_exception_handler(kind, handler)


def told(request: Request, error: ProblemError, headers: dict[str, str] | None = None) -> JSONResponse:
    """The problem document of an error."""
    problem = Problem(
        title=error.status.phrase,
        status=error.status,
        detail=error.detail,
        remedy=error.remedy,
        instance=request.url.path,
        request_id=getattr(request.state, "request_id", ""),
        faults=error.faults,
    )
    return JSONResponse(problem.model_dump(), error.status, headers, MEDIA)
