"""Processes in the foreground: what they end by, and that they end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from streams.foreground import BROKE, CLEAN, MUST_STOP, exit_code
from streams.protocol.ports import SinkDown, Stop

STUBBORN = """
import asyncio, time
from streams.foreground import told_to_end

async def run():
    stopping = told_to_end(within_s=0.2)
    print("ready", flush=True)
    await stopping.wait()
    {then}

asyncio.run(run())
"""


def ended(then: str) -> tuple[int, str]:
    """The exit code and the last words of a process that is told to end and then does this."""
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN.format(then=then)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    return process.returncode, errors


def test_one_that_ends_when_told_to_ends_clean() -> None:
    assert ended("await asyncio.sleep(0)") == (CLEAN, "")


@pytest.mark.parametrize("then", ["await asyncio.Event().wait()", "time.sleep(60)"], ids=["waits", "is busy"])
def test_one_that_hangs_ends_all_the_same_and_says_where_it_stood(then: str) -> None:
    code, errors = ended(then)
    assert code == BROKE
    assert "not ended within 0 s of being told to" in errors
    assert "in run" in errors or "in select" in errors


def raising(error: Exception) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Stop("no topics"), MUST_STOP, "the shop must stop: no topics"),
        (KeyError("bag"), MUST_STOP, "the shop must stop: 'bag'"),
        (SinkDown("no broker"), BROKE, "the shop could not start: no broker"),
        (OSError("no disk"), BROKE, "the shop could not start: no disk"),
        (ArithmeticError("lunch"), BROKE, "the shop is out: lunch"),
        (ValueError("a bug"), BROKE, "the shop broke"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_it_ended_by_decides_the_code_and_the_words(
    error: Exception, code: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert (
        exit_code("shop", raising(error), stops=(KeyError,), downs=(OSError,), ends={ArithmeticError: "is out"}) == code
    )
    assert [record.getMessage() for record in caplog.records] == [said]
