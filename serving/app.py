"""The app: routes, who may ask, names for requests, health and metrics.

Whoever is on this machine may ask where only this machine can; elsewhere a key is wanted (settings). Health, readiness
and the API's own description are for anybody.
"""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from importlib.metadata import version
from typing import Final

from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import answers
from serving.api import routes
from serving.demo import Demo
from serving.live import Live
from serving.page import Page, add_page
from serving.parts import Parts
from serving.problems import REQUEST_ID, ProblemError, handle, told
from streams.protocol.ports import SinkDown, StoreDown

OPEN: Final = ("/healthz", "/readyz", "/openapi.json", "/docs")
KEY: Final = "x-api-key"
SANE: Final = re.compile(r"[\x21-\x7e]{1,128}")
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


def make_app(parts: Parts, live: Live, registry: CollectorRegistry, demo: Demo | None = None) -> FastAPI:
    """Everything bound to `parts` and what moves; its metrics are in `registry`. `demo`: has the demo's buttons."""
    app = FastAPI(
        title="Headrace",
        version=version("headrace"),
        summary="What is known of the stream: decisions, anomalies, features, models, rules. Read-only.",
        docs_url=None,  # FastAPI's own pages load from elsewhere: page.py has one
        redoc_url=None,
    )
    handle(app)
    app.include_router(routes(parts))
    _looked_after(app, parts, registry)
    add_page(app, Page(parts, live, demo), demo)
    app.add_middleware(_Asked, key=parts.settings.serving.api_key, registry=registry)
    return app


class _Asked:
    """Each request has a name, is timed, and is refused where a key is wanted and not sent."""

    def __init__(self, app: ASGIApp, key: SecretStr | None, registry: CollectorRegistry) -> None:
        self._app, self._key = app, None if key is None else key.get_secret_value()
        self._requests = Counter("headrace_api_requests", "requests answered", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "headrace_api_seconds", "until answered", ["route"], buckets=BUCKETS, registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, began = Request(scope), time.perf_counter()
        sent = request.headers.get(REQUEST_ID, "")
        request.state.request_id = name = sent if SANE.fullmatch(sent) else secrets.token_hex(8)

        async def answered(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "other")
                self._requests.labels(route, str(message["status"])).inc()
                self._seconds.labels(route).observe(time.perf_counter() - began)
                message["headers"] = [*message["headers"], (REQUEST_ID.encode(), name.encode())]
            await send(message)

        answer: ASGIApp = self._app
        if self._key is not None and not _open(scope["path"]) and not _has(request, self._key):
            error = ProblemError(HTTPStatus.UNAUTHORIZED, "no key, or another one", f"send the key in header {KEY}")
            answer = told(request, error, {"www-authenticate": 'Basic realm="headrace"'})
        await answer(scope, receive, answered)


def _open(path: str) -> bool:
    return path in OPEN or path.startswith("/static/")


def _has(request: Request, key: str) -> bool:
    """In our header, or as the password of a browser's own question."""
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            sent = base64.b64decode(sent, validate=True).decode("utf-8", "replace").partition(":")[2]
    given = request.headers.get(KEY) or sent
    return secrets.compare_digest(given.encode("utf-8", "replace"), key.encode())


def _looked_after(app: FastAPI, parts: Parts, registry: CollectorRegistry) -> None:
    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """The process is alive; nothing else is asked."""
        return {"status": "alive"}

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", tags=["health"], responses={503: {"model": answers.Ready}})
    async def readyz(response: Response) -> answers.Ready:
        """Whether broker and store answer now."""
        broker, store = await _answers(parts.reader.cluster), await _answers(parts.store.empty)
        ready = broker == store == "ok"
        response.status_code = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return answers.Ready(ready=ready, broker=broker, store=store)

    @app.head("/metrics", include_in_schema=False)
    @app.get("/metrics", tags=["health"], response_class=Response)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


async def _answers(ask: Callable[[], Awaitable[object]]) -> str:
    try:
        await ask()
    except (SinkDown, StoreDown) as error:
        return str(error)
    return "ok"
