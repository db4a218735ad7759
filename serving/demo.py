"""The demo's buttons: start an attack, kill a worker. There only where `headrace demo` started this process.

This process does neither: it asks the demo, over a socket in the demo's own folder. The routes exist only where that
socket was named and only this machine can ask, and they heed only this very page: a browser says by `Origin` and
`Sec-Fetch-Site` where a request comes from, and `Host` must be a name of this machine, else a site whose name was made
to lead here (DNS rebinding) would be the same origin. The price: counts are a second old.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from serving.problems import ProblemError
from streams.live.wire import AwayError, RefusedError, ask

LOOK_S: Final = 1.0
HERE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
DOES: Final = ("attack", "kill")


class Demo:
    """`told` is what the demo said last of its counts; None while it does not answer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.told: Mapping[str, Any] | None = None

    async def watch(self) -> None:
        """Never returns."""
        while True:
            self.told = None
            with contextlib.suppress(AwayError, RefusedError):
                while True:
                    self.told = await ask(self._path, "counts")
                    await asyncio.sleep(LOOK_S)
            await asyncio.sleep(LOOK_S)

    async def do(self, what: str) -> None:
        """Raises ProblemError where the demo cannot."""
        try:
            self.told = await ask(self._path, what)
        except RefusedError as refused:
            raise ProblemError(HTTPStatus.CONFLICT, str(refused)) from refused
        except AwayError as away:
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, str(away), "start `headrace demo` again") from away


def add_demo(router: APIRouter, demo: Demo, shown: Callable[[], Response]) -> None:
    """Adds what the buttons post to; `shown` is the demo's part of the page."""

    @router.post("/demo/{what}")
    async def does(what: str, request: Request) -> Response:
        if what not in DOES:
            raise ProblemError(HTTPStatus.NOT_FOUND, f"the demo cannot {what}", f"one of {', '.join(DOES)}")
        if why := foreign(request):
            raise ProblemError(HTTPStatus.FORBIDDEN, why, "use the buttons of the page itself")
        await demo.do(what)
        return shown()


def foreign(request: Request) -> str:
    """Why a request is not this page's own; empty where it may be."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    site, peer = request.headers.get("sec-fetch-site", "same-origin"), request.client
    if peer is None or peer.host not in HERE:
        return "it comes from another machine"
    if urlsplit(f"//{host}").hostname not in HERE:
        return f"host {host} is not a name of this machine"
    if site != "same-origin" or (origin is not None and origin != f"http://{host}"):
        return f"it comes from another site ({origin or site})"
    return ""
