"""The live page, as a browser asks for it: whole, moving, safe, and of nothing but itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import serving
from streams.embedded.processes import Children
from tests.e2e.conftest import stream_on
from tests.support.archive import decided
from tests.support.events import order, orders
from tests.support.serving import Serving, start_serving
from tests.support.worker import Stream, until

STATIC = Path(serving.__file__).parent / "static"
MOST_BYTES = 150_000
NASTY = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def shop(request: pytest.FixtureRequest) -> Iterator[tuple[Stream, Serving]]:
    with Children() as own:
        stream = stream_on("embedded", own, request)

        async def begun() -> Serving:
            await stream.working(stream.worker())
            serving = await start_serving(stream)
            await stream.send(*orders(20, users=2), order(NASTY, "u1", 9_000, value=4_000.0))
            await decided(stream, 21)
            return serving

        yield stream, asyncio.run(begun())


async def page(serving: Serving, path: str = "/") -> httpx.Response:
    async with serving.client() as client:
        return await client.get(path)


async def test_the_page_shows_decisions_as_they_come_without_a_reload(shop: tuple[Stream, Serving]) -> None:
    stream, serving = shop

    async def shown(what: str) -> bool:
        return what in (await page(serving)).text

    await until(lambda: shown("o-n19"), 20.0, lambda: serving.said)
    async with serving.client() as client, client.stream("GET", "/page/live") as live:
        assert live.headers["content-type"].startswith("text/event-stream")
        await stream.send(order("later", "u1", 10_000))
        seen = set[str]()
        async with asyncio.timeout(30):
            async for line in live.aiter_lines():
                if line.startswith("event: "):
                    seen.add(line.removeprefix("event: "))
                if "o-later" in line:
                    break
    assert {"tiles", "decisions", "topics", "models", "series"} <= seen


async def test_a_decision_is_explained_by_what_weighed_and_what_is_usual(shop: tuple[Stream, Serving]) -> None:
    _, serving = shop

    async def weighed() -> bool:
        return "What weighed most" in (await page(serving, "/page/decisions/o-n19")).text

    await until(weighed, 20.0, lambda: serving.said)
    text = (await page(serving, "/page/decisions/o-n19")).text
    assert "shop-logistic 1" in text
    assert re.search(r"[+-]\d\.\d\d</td>", text)
    assert (await page(serving, "/page/decisions/nobody")).status_code == 404


async def test_what_events_say_is_text_and_never_markup(shop: tuple[Stream, Serving]) -> None:
    _, serving = shop

    async def there() -> bool:
        return "&lt;script&gt;alert(1)" in (await page(serving)).text

    await until(there, 20.0, lambda: serving.said)
    assert NASTY not in (await page(serving)).text
    policy = (await page(serving)).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-eval" not in policy


async def test_all_that_it_loads_is_its_own_and_light(shop: tuple[Stream, Serving]) -> None:
    _, serving = shop
    weight = 0
    for path in ("/", "/docs"):
        whole = await page(serving, path)
        loaded = re.findall(r'(?:src|href)="([^"#]+)"', whole.text)
        assert all(one.startswith("/") for one in loaded), loaded
        if path == "/":
            weight = len(whole.content)
            for one in loaded:
                if one.startswith("/static"):
                    answer = await page(serving, one)
                    assert answer.status_code == 200
                    weight += len(answer.content)
    assert weight <= MOST_BYTES, f"{weight:,} bytes"


@pytest.mark.parametrize("path", sorted(STATIC.rglob("*.[jc]s*")), ids=lambda path: path.name)
def test_no_file_of_it_asks_elsewhere(path: Path) -> None:
    asked = re.findall(r"""(?:url\(|import |src=|fetch\()["']?(https?:)?//\S+""", path.read_text())
    assert not asked
