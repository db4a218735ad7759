"""The page asks the demo over a socket in the demo's folder: answers, refusals, and a demo that is gone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from streams.embedded.processes import Children
from streams.live.wire import LONGEST, AwayError, RefusedError, answering, ask, socket_in


def refuses() -> dict[str, int]:
    raise RefusedError("not now")


async def test_an_answer_and_a_refusal_come_as_they_were_given(tmp_path: Path) -> None:
    at = tmp_path / "s"
    async with answering(at, {"counts": lambda: {"sent": 3}, "kill": refuses}):
        assert await ask(at, "counts") == {"sent": 3}
        with pytest.raises(RefusedError, match="not now"):
            await ask(at, "kill")
        with pytest.raises(RefusedError, match="cannot 'format'"):
            await ask(at, "format")


async def test_a_demo_that_is_gone_is_away(tmp_path: Path) -> None:
    at = tmp_path / "s"
    with pytest.raises(AwayError):
        await ask(at, "counts")
    async with answering(at, {}):
        pass
    with pytest.raises(AwayError):
        await ask(at, "counts")


def test_nobody_else_can_reach_the_socket_of_a_demo(children: Children) -> None:
    at = socket_in(children.folder)
    assert at is not None
    assert stat.S_IMODE(at.parent.stat().st_mode) == 0o700


def test_a_folder_whose_name_is_too_long_for_a_socket_has_none() -> None:
    assert socket_in(Path("/" + "x" * LONGEST)) is None
