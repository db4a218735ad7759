"""What is left to do, and which worker holds what, as seen from outside."""

import asyncio

import pytest

from streams.chaos.watch import StuckError, _left, held_by, until
from streams.embedded.processes import free_port
from streams.stores.admin import Place

PAGE = b"""HTTP/1.0 200 OK\r\n\r\n# TYPE headrace_position gauge
headrace_position{partition="0",topic="orders"} 12.0
headrace_position{partition="3",topic="cart"} 0.0
headrace_lag_records{partition="1",topic="cart"} 0.0
"""


def place(position: int, *, home: bool = True, open_: tuple[int, int] | None = None) -> Place:
    return Place("orders", 0, "id", 3, home, 0, position, open_)


def test_all_is_done_when_home_and_shards_stand_at_the_end_and_nothing_is_open() -> None:
    assert _left([place(5), place(5, home=False)], {("orders", 0): 5}) == []
    assert _left([], {("orders", 0): 0}) == []


def test_what_is_left_is_told_in_words() -> None:
    end = {("orders", 0): 5}
    assert _left([], end) == ["orders/0 stands at none of 5"]
    assert _left([place(3)], end) == ["orders/0 stands at 3 of 5"]
    assert _left([place(5, open_=(3, 4))], end) == ["orders/0 has range (3, 4) open"]
    assert _left([place(5), place(3, home=False)], end) == ["shard 3 stands at 3 of orders/0"]


async def test_a_worker_tells_by_its_metrics_what_it_holds() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PAGE)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await held_by(port) == {("orders", 0), ("cart", 3)}


async def test_a_worker_that_does_not_answer_holds_nothing() -> None:
    assert await held_by(free_port()) == frozenset()


async def test_what_never_comes_about_is_told_with_its_name() -> None:
    async def never() -> bool:
        return False

    with pytest.raises(StuckError, match="the moon is green: not within 0 s"):
        await until("the moon is green", never, 0.0)
