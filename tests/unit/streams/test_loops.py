"""The event loop of a worker."""

import asyncio
import importlib
import sys

import pytest

from streams import loops


def test_a_worker_turns_on_uvloop() -> None:
    loop = loops.new_event_loop()
    try:
        assert type(loop).__module__ == "uvloop"
    finally:
        loop.close()


def test_without_uvloop_a_worker_turns_on_asyncios_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    try:
        assert importlib.reload(loops).new_event_loop is asyncio.new_event_loop
    finally:
        monkeypatch.undo()
        importlib.reload(loops)
