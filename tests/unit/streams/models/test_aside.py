"""Work beside the loop: its outcome comes back, and one that hangs holds nobody up."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

from streams.models.aside import aside


async def test_what_it_comes_to_comes_back() -> None:
    assert await aside(lambda: 7) == 7


async def test_what_it_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await aside(lambda: 1 / 0)


async def test_who_is_cancelled_leaves_it_to_itself() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await aside(lambda: time.sleep(0.1))
    await asyncio.sleep(0.2)


def test_a_process_ends_though_it_hangs() -> None:
    code = (
        "import asyncio, time\n"
        "from streams.models.aside import aside\n"
        "async def main():\n"
        "    asyncio.create_task(aside(lambda: time.sleep(600)))\n"
        "    await asyncio.sleep(0.05)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
