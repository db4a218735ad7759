"""The live page: HTML made here, swapped in by htmx as server-sent events come, curves drawn by uPlot.

    GET /                       the whole page, as it is now
    GET /page/live              each second the parts that changed, as HTML, and the curves' newest numbers
    GET /page/decisions/{id}    a decision explained
    POST /demo/attack, /kill    the demo's buttons (demo.py)
    GET /docs                   the API's description

Nothing is built and nothing comes from elsewhere: libraries lie in static/vendor. Every part is rendered once a
second, however many watch. The price: a part that changed is sent whole.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.demo import Demo, add_demo
from serving.live import TICKS, Live
from serving.parts import Parts, measured
from serving.past import past_of
from serving.recent import Seen
from serving.why import weighed

HERE: Final = Path(__file__).parent
ROWS: Final = 20
PARTS: Final = ("tiles", "decisions", "stopped", "anomalies", "topics", "models")
SECURITY: Final = {
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Page:
    """Renders the parts of the page from what is known now."""

    def __init__(self, parts: Parts, live: Live, demo: Demo | None = None) -> None:
        self._parts, self.live, self._demo = parts, live, demo
        self._names = PARTS if demo is None else (*PARTS, "demo")
        self._templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True)
        self._templates.filters |= {"clock": clock, "short": short, "code": code}
        self._made: tuple[int, Mapping[str, str]] = (-1, {})

    def whole(self) -> str:
        """The page with everything that is known now."""
        return self.render("index", parts=self.parts(), buttons=self._demo is not None)

    def parts(self, *, anew: bool = False) -> Mapping[str, str]:
        """Each part's HTML, made once a tick, or now."""
        if anew or self._made[0] != self.live.number:
            known = self._known()
            self._made = self.live.number, {name: self.render(name, **known) for name in self._names}
        return self._made[1]

    def series(self, newest: int = TICKS) -> str:
        """The curves: seconds, then events, decisions, latency, one number for each of the newest ticks."""
        ticks = list(self.live.ticks)[-newest:]
        return json.dumps(
            [
                [tick.at_s for tick in ticks],
                [tick.events for tick in ticks],
                [tick.allow + tick.review + tick.block for tick in ticks],
                [tick.latency_ms for tick in ticks],
            ],
            separators=(",", ":"),
        )

    def decision(self, id_: str) -> str:
        """A decision explained; raises ProblemError where it is not in memory."""
        seen, log = self._parts.decision(id_)
        why = None if log is None else weighed(self._parts, log)
        vector = self._parts.definitions.vector
        known = log is not None and log.feature_hash == vector.hash
        past = past_of(dict(zip(vector.names, log.vector, strict=True))) if log and known else None
        return self.render("decision", seen=seen, one=seen.decision, log=log, weighed=why, past=past)

    def described(self, openapi: Mapping[str, Any], url: str) -> str:
        """The API's description as a page; `url`: where it was asked for."""
        asked = [
            (method.upper(), path, operation)
            for path, operations in openapi["paths"].items()
            for method, operation in operations.items()
        ]
        return self.render("docs", asked=asked, version=openapi["info"]["version"], url=url)

    def _known(self) -> Mapping[str, Any]:
        recent, traffic = self._parts.recent, self._parts.traffic
        ticks = list(self.live.ticks)
        p50, p99 = self.live.latency()
        decided = [(tick.allow + tick.review + tick.block, tick.review, tick.block) for tick in ticks[-60:]]
        orders = sum(one[0] for one in decided)
        seconds = max(1, len(decided))
        return {
            "events_s": ticks[-1].events if ticks else 0.0,
            "orders_s": orders / seconds,
            "reviewed": sum(one[1] for one in decided) / orders if orders else 0.0,
            "blocked": sum(one[2] for one in decided) / orders if orders else 0.0,
            "p50": p50,
            "p99": p99,
            "lag": ticks[-1].lag if ticks else 0,
            "decisions": [one for _, one in islice(recent.decisions.newest(), ROWS)],
            "stopped": [one for _, one in islice(recent.decisions.newest(like=_stopped), ROWS)],
            "anomalies": [one for _, one in islice(recent.anomalies.newest(), ROWS // 2)],
            "topics": traffic.carried,
            "choice": self._parts.force.choice,
            "metrics": measured(self._parts.force.choice.configuration),
            "demo": None if self._demo is None else self._demo.told,
        }

    def render(self, name: str, **known: Any) -> str:
        """A template with what it shows."""
        return self._templates.get_template(f"{name}.html").render(known)


def _stopped(seen: Seen) -> bool:
    return seen.decision.action != "allow"


def clock(ms: int) -> str:
    """Time of day, UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M:%S")


def short(value: float) -> str:
    """A number for people: three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.3g}"


def code(text: str) -> Markup:
    """What stands between backticks, as code; all of it text and never markup."""
    parts = [escape(part) for part in text.split("`")]
    return Markup().join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def add_page(app: FastAPI, page: Page, demo: Demo | None) -> None:
    """Adds the page and what it loads."""
    router = APIRouter(include_in_schema=False)

    @router.head("/")
    @router.get("/")
    async def index() -> HTMLResponse:
        return HTMLResponse(page.whole(), headers=SECURITY)

    @router.get("/page/live")
    async def live() -> StreamingResponse:
        return StreamingResponse(_events(page), media_type="text/event-stream", headers=SECURITY)

    @router.get("/page/decisions/{id}")
    async def decision(id: str) -> HTMLResponse:  # noqa: A002 - the parameter's name in the path
        return HTMLResponse(page.decision(id), headers=SECURITY)

    @router.head("/docs")
    @router.get("/docs")
    async def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(page.described(app.openapi(), str(request.base_url).rstrip("/")), headers=SECURITY)

    if demo is not None:
        add_demo(router, demo, lambda: HTMLResponse(page.parts(anew=True)["demo"], headers=SECURITY))
    app.add_middleware(_Packed)
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")


class _Packed:
    """Packs what a browser loads once, a third of its bytes then. Answers to programs stay as they are: packing an
    assessed order takes as long as assessing it, and news of the stream is sent piece by piece.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._packed = app, GZipMiddleware(app, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        loaded = scope["type"] == "http" and (scope["path"] in ("/", "/docs") or scope["path"].startswith("/static/"))
        await (self._packed if loaded else self._app)(scope, receive, send)


async def _events(page: Page) -> AsyncIterator[str]:
    """The parts that changed, each tick; all of them at first. Of the curves what is new; all where one was missed."""
    number, sent = 0, dict[str, str]()
    while True:
        before, number = number, await page.live.after(number)
        for name, html in page.parts().items():
            if sent.get(name) != html:
                sent[name] = html
                yield _event(name, html)
        yield _event("tick", page.series(1)) if before and number == before + 1 else _event("series", page.series())


def _event(name: str, text: str) -> str:
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"event: {name}\n{lines}\n"
