"""`headrace serve`: what is known of the stream, over HTTP, as curl would ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from models.deployments import promoted
from streams.embedded.processes import Children
from tests.e2e.conftest import stream_on
from tests.support.archive import decided
from tests.support.events import order, order_body, orders
from tests.support.models import WHO, put, registry_in
from tests.support.serving import Serving, start_serving
from tests.support.worker import Stream, until

PAST, USERS = 60, 3
KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def shop(request: pytest.FixtureRequest) -> Iterator[tuple[Stream, Serving]]:
    """Some orders, decided, and a process that serves what is known of them."""
    with Children() as own:
        stream = stream_on("embedded", own, request)

        async def begun() -> Serving:
            await stream.working(stream.worker())
            await stream.send(*orders(PAST, users=USERS))
            await decided(stream, PAST)
            serving = await start_serving(stream)
            await known(serving, PAST)
            return serving

        yield stream, asyncio.run(begun())


async def known(serving: Serving, count: int) -> None:
    """Returns when so many decisions are in memory."""

    async def there() -> bool:
        assert serving.child.running, serving.said
        return bool(sum((await got(serving, "/v1/status"))["decisions"].values()) >= count)

    await until(there, 30.0, lambda: serving.said)


@pytest.fixture
async def client(shop: tuple[Stream, Serving]) -> AsyncIterator[httpx.AsyncClient]:
    async with shop[1].client() as made:
        yield made


async def got(serving: Serving, path: str) -> Any:
    async with serving.client() as client:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def test_pages_of_decisions_go_on_where_the_one_before_ended(client: httpx.AsyncClient) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        asked = {"limit": 7} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/decisions", params=asked)).json()
        seen += [one["order_id"] for one in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert sorted(seen) == sorted(f"o-n{n}" for n in range(PAST))


async def test_decisions_are_those_of_the_stream(shop: tuple[Stream, Serving], client: httpx.AsyncClient) -> None:
    (published,) = (await shop[0].decisions())["o-n7"]
    told = (await client.get("/v1/decisions/o-n7")).json()
    assert {name: told["decision"][name] for name in orjson.loads(published)} == orjson.loads(published)
    by_id = (await client.get(f"/v1/decisions/{told['decision']['decision_id']}")).json()
    assert by_id == told
    assert told["log"]["vector"]["order_amount"] == order_value(7)
    only = (await client.get("/v1/decisions", params={"user_id": "u1", "limit": 200})).json()["items"]
    assert {one["user_id"] for one in only} == {"u1"}


def order_value(n: int) -> float:
    body = orjson.loads(orders(PAST, users=USERS)[n].value or b"")
    return float(body["value"])


async def test_an_entity_is_told_as_the_command_tells_it(
    shop: tuple[Stream, Serving], client: httpx.AsyncClient
) -> None:
    told = (await client.get("/v1/entities/user/u1")).json()
    code, output, _ = await shop[0].command("features", "show", "user:u1", "--json")
    assert code == 0
    command = orjson.loads(output)
    assert {one["name"] for one in told["features"]} == command["values"].keys()
    assert told["newest_ms"] == command["newest_ms"]


async def test_an_order_is_assessed_and_nothing_is_written(
    shop: tuple[Stream, Serving], client: httpx.AsyncClient
) -> None:
    stream, _ = shop
    body = order_body("asked", "u1", PAST * 250, value=777.0)
    before = await stream.dump()
    first, again = [(await client.post("/v1/fraud/orders", json=body)).json() for _ in range(2)]
    assert first == again
    assert first["decision"]["order_id"] == "o-asked"
    assert first["vector"]["user_count_24h"] == PAST / USERS + 1
    assert await stream.dump() == before
    assert "o-asked" not in await stream.decisions()


async def test_what_would_be_a_dead_letter_is_a_problem_with_its_place(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/fraud/orders", json=order_body("asked", "u1") | {"value": "much"})
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert problem["faults"][0]["path"] == "$.value"
    assert problem["request_id"] == answer.headers["x-request-id"]


async def test_an_order_is_read_whatever_media_type_curl_says_it_is(client: httpx.AsyncClient) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    body = orjson.dumps(order_body("asked", "u1"))
    assert (await client.post("/v1/fraud/orders", content=body, headers=form)).status_code == 200


async def test_a_body_larger_than_any_event_is_refused_before_it_is_all_there(shop: tuple[Stream, Serving]) -> None:
    reader, writer = await asyncio.open_connection(*shop[1].url.removeprefix("http://").split(":"))
    writer.write(b"POST /v1/fraud/orders HTTP/1.1\r\nhost: here\r\ncontent-length: 9000000000\r\n\r\n")
    writer.write(b" " * 1_000_001)
    async with asyncio.timeout(30.0):
        said = await reader.readuntil(b"}")
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in said
    assert b"the body has more than 1,000,000 bytes" in said
    writer.close()


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"{nope", "it is no JSON: Expecting property name"),
        (b"[1]", "want an object, got list"),
        (b'{"a": "\xff"}', "it is no JSON: 'utf-8' codec"),
        (b"[" * 100_000, "it is nested too deeply"),
    ],
)
async def test_a_body_that_is_no_order_is_a_problem_that_says_why(
    client: httpx.AsyncClient, body: bytes, detail: str
) -> None:
    answer = await client.post("/v1/fraud/orders", content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["faults"][0]["detail"].startswith(detail)


async def test_the_apis_own_page_tells_every_request_with_a_line_to_try(client: httpx.AsyncClient) -> None:
    told = (await client.get("/docs")).text
    for path in (await client.get("/openapi.json")).json()["paths"]:
        assert f"GET {path}" in told or f"POST {path}" in told
    assert f"curl -s {str(client.base_url).rstrip('/')}/v1/status" in told


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("/v1/decisions/nobody", "headrace explain nobody"),
        ("/v1/entities/user/nobody", "an id is taken as events write it"),
        ("/v1/entities/nothing/u1", "one of user"),
        ("/v1/nothing", "see /docs"),
    ],
)
async def test_what_is_not_there_is_a_problem_with_a_remedy(client: httpx.AsyncClient, path: str, remedy: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["remedy"].startswith(remedy)


@pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/readyz", "/metrics"])
async def test_what_looks_after_servers_may_ask_for_the_head_alone(client: httpx.AsyncClient, path: str) -> None:
    head, whole = await client.head(path), await client.get(path)
    assert (head.status_code, head.headers["content-type"]) == (200, whole.headers["content-type"])
    assert not head.content


async def test_a_request_has_the_name_that_it_was_given(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz", headers={"x-request-id": "mine-1"})).headers["x-request-id"] == "mine-1"
    other = (await client.get("/healthz", headers={"x-request-id": "a b"})).headers["x-request-id"]
    assert other not in ("", "a b")


async def test_rules_and_models_are_those_in_force(client: httpx.AsyncClient) -> None:
    models, rules = (await client.get("/v1/models")).json(), (await client.get("/v1/rules")).json()
    assert models["model"]["name"] == "shop-logistic"
    assert 0.5 < models["metrics"]["auc"] < 1.0
    assert (await client.get("/v1/decisions/o-n1")).json()["decision"]["config"] == models["config"]
    assert rules["rules"][0]["when"] == "device_distinct_cards_1h >= 4"
    assert [one["name"] for one in rules["session_rules"]]


async def test_status_tells_what_topics_carry(client: httpx.AsyncClient) -> None:
    topics = {one["topic"]: one for one in (await client.get("/v1/status")).json()["topics"]}
    assert (topics["orders"]["end"], topics["orders"]["lag"]) == (PAST, 0)


async def test_metrics_count_requests_by_route(client: httpx.AsyncClient) -> None:
    await client.get("/v1/decisions/o-n1")
    text = (await client.get("/metrics")).text
    assert 'headrace_api_requests_total{route="/v1/decisions/{id}",status="200"}' in text


async def test_others_must_send_the_key_but_for_health(shop: tuple[Stream, Serving]) -> None:
    serving = await start_serving(shop[0], SERVING__API_KEY=KEY)
    async with serving.client() as client:
        assert (await client.get("/healthz")).status_code == 200
        refused = await client.get("/v1/status")
        assert (refused.status_code, refused.json()["remedy"]) == (401, "send the key in header x-api-key")
        assert (await client.get("/v1/status", headers={"x-api-key": KEY})).status_code == 200
        assert KEY not in serving.said
    assert serving.child.terminate(20.0) == 0, serving.said


async def test_a_store_that_is_away_is_told_and_its_return_noticed(embedded_stream: Stream) -> None:
    stream = embedded_stream
    await stream.working(stream.worker())
    await stream.send(order("one"))
    await decided(stream, 1)
    serving = await start_serving(stream)
    stream.store.child.kill()
    async with serving.client() as client:
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["broker"]) == (503, "ok")
        away = await client.get("/v1/entities/user/u")
        assert (away.status_code, away.json()["remedy"]) == (503, "headrace doctor")
        stream.store.start_again()

        async def back() -> bool:
            return (await client.get("/readyz")).status_code == 200

        await until(back, 30.0, lambda: serving.said)


async def test_a_promotion_is_seen(embedded_stream: Stream, tmp_path: Path) -> None:
    registry = registry_in(tmp_path / "registry")
    serving = await start_serving(embedded_stream, REGISTRY__URL=str(tmp_path / "registry"))
    registry.deploy(promoted(put(registry, "shop", 0.4)), **WHO)

    async def seen() -> bool:
        return bool((await got(serving, "/v1/models"))["champion"] == "shop/1")

    await until(seen, 20.0, lambda: serving.said)


async def test_what_came_before_the_start_is_in_memory_too(shop: tuple[Stream, Serving]) -> None:
    later = await start_serving(shop[0])
    await known(later, PAST)
    assert later.child.terminate(20.0) == 0, later.said
