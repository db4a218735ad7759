"""The demo's buttons heed the page itself and nobody else, and are not there but in the demo."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Response

from serving.demo import Demo, add_demo
from serving.problems import handle
from streams.live.wire import answering

OWN = {"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"}
FOREIGN = (
    {"origin": "http://shop.example", "sec-fetch-site": "cross-site"},
    {"origin": "http://shop.example"},
    {"origin": "null"},
    {"sec-fetch-site": "same-site"},
    {"origin": "http://127.0.0.1:9999"},  # another port is another origin
    {"host": "shop.example:8080", "origin": "http://shop.example:8080"},  # a name that was made to lead here
)


async def pressed(
    demo: Demo, what: str, headers: dict[str, str], peer: str = "127.0.0.1", method: str = "POST"
) -> httpx.Response:
    app, router = FastAPI(), APIRouter()
    handle(app)
    add_demo(router, demo, lambda: Response("counts"))
    app.include_router(router)
    transport = httpx.ASGITransport(app, client=(peer, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        return await client.request(method, f"/demo/{what}", headers=headers)


async def test_a_button_is_answered_with_the_demos_part_of_the_page(tmp_path: Path) -> None:
    done: list[str] = []

    def kill() -> dict[str, int]:
        done.append("kill")
        return {"kills": 1}

    async with answering(tmp_path / "s", {"kill": kill}):
        demo = Demo(tmp_path / "s")
        answer = await pressed(demo, "kill", OWN)
        assert (answer.status_code, answer.text) == (200, "counts")
        assert demo.told == {"kills": 1}
        for headers in FOREIGN:
            assert (await pressed(demo, "kill", OWN | headers)).status_code == 403, headers
        assert (await pressed(demo, "kill", OWN, peer="10.0.0.9")).status_code == 403
        assert (await pressed(demo, "kill", OWN, method="GET")).status_code == 405
        assert (await pressed(demo, "format", OWN)).status_code == 404
        assert (await pressed(demo, "attack", OWN)).status_code == 409
    assert done == ["kill"]


async def test_a_demo_that_has_ended_is_a_problem_with_a_remedy(tmp_path: Path) -> None:
    answer = await pressed(Demo(tmp_path / "s"), "kill", OWN)
    assert (answer.status_code, answer.json()["remedy"]) == (503, "start `headrace demo` again")


@pytest.mark.parametrize("headers", [{}, {"origin": "http://127.0.0.1:8080"}], ids=["curl", "an old browser"])
async def test_who_does_not_say_where_from_is_on_this_machine(tmp_path: Path, headers: dict[str, str]) -> None:
    async with answering(tmp_path / "s", {"attack": dict}):
        assert (await pressed(Demo(tmp_path / "s"), "attack", headers)).status_code == 200
