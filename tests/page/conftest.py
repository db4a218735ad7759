"""One demo for all tests of the page, and for each test a page of its own that may complain of nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from bench.page.browser import DESK, AbsentError, Demo, browser, chromium, demo, opened
from bench.page.seen import WITHIN_MS
from tests.support.need import BROWSER, absent

Opens = Callable[..., Any]


@pytest.fixture(scope="package")
def running() -> Iterator[Demo]:
    """`headrace demo`, as somebody started it."""
    try:
        chromium()
    except AbsentError as error:
        absent(BROWSER, str(error))
    with demo() as started:
        yield started


@pytest.fixture(scope="package")
def chrome(running: Demo) -> Iterator[Any]:  # noqa: ARG001 - who waits for the demo need not wait twice
    with browser() as launched:
        yield launched


@pytest.fixture
def opens(chrome: Any, running: Demo) -> Iterator[Opens]:
    """Opens the page (None: a browser's empty one). At the end the console has no complaint, and nobody else was asked
    for anything.
    """
    said, elsewhere, contexts = list[str](), list[str](), list[Any]()

    def heard(message: Any) -> None:
        if message.type in ("error", "warning"):
            said.append(f"{message.type}: {message.text}")

    def requested(request: Any) -> None:
        if urlsplit(request.url).netloc != urlsplit(running.url).netloc:
            elsewhere.append(request.url)

    def opening(path: str | None = "/", **how: Any) -> Any:
        contexts.append(chrome.new_context(base_url=running.url, **(DESK | how)))
        page = contexts[-1].new_page()
        page.set_default_timeout(WITHIN_MS)
        page.on("console", heard)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", requested)
        if path is not None:
            opened(page, running.url + path)
        return page

    yield opening
    for context in contexts:
        context.close()
    assert said == []
    assert elsewhere == []
