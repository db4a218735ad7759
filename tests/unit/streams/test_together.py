"""Together: calls of one moment are one call; a failure is everybody's, a cancellation nobody else's."""

import asyncio
from collections.abc import Sequence

import pytest

from streams.together import TURNS, Together


class Squares:
    """What is joined: it notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.joined = Together(self.each)

    async def each(self, numbers: Sequence[int]) -> list[int]:
        self.asked.append(list(numbers))
        await asyncio.sleep(0)
        if 13 in numbers:
            raise ValueError("thirteen")
        return [number * number for number in numbers]


async def test_calls_of_one_moment_are_one_call_and_each_gets_its_own_answers() -> None:
    squares = Squares()
    answers = await asyncio.gather(squares.joined([1, 2]), squares.joined([]), squares.joined([3]))
    assert [list(each) for each in answers] == [[1, 4], [], [9]]
    assert squares.asked == [[1, 2, 3]]


async def test_calls_of_one_fetch_are_one_call_though_they_come_one_after_the_other() -> None:
    squares = Squares()

    async def later(turns: int) -> Sequence[int]:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await squares.joined([turns])

    assert await asyncio.gather(*map(later, range(4))) == [[0], [1], [4], [9]]
    assert squares.asked == [[0, 1, 2, 3]]


async def test_calls_of_different_moments_are_calls_of_their_own() -> None:
    squares = Squares()
    assert await squares.joined([1]) == [1]
    assert await squares.joined([2]) == [4]
    assert squares.asked == [[1], [2]]


async def test_a_failure_is_raised_in_all_that_were_joined_and_the_next_call_is_fresh() -> None:
    squares = Squares()
    told = await asyncio.gather(squares.joined([1]), squares.joined([13]), return_exceptions=True)
    assert [type(each) for each in told] == [ValueError, ValueError]
    assert await squares.joined([2]) == [4]


@pytest.mark.parametrize("moments", [0, 1, 2, TURNS, TURNS + 1, TURNS + 2])
async def test_who_is_cancelled_takes_nothing_from_the_others(moments: int) -> None:
    squares = Squares()
    gone, stays = asyncio.ensure_future(squares.joined([1, 2])), asyncio.ensure_future(squares.joined([3]))
    for _ in range(moments):
        await asyncio.sleep(0)
    gone.cancel()
    assert await stays == [9]
    assert gone.cancelled()
