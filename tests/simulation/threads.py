"""Threads of a simulated world: coroutines that yield at every step, and a die that says who moves next.

No event loop: a step is one `send`, microseconds long, and the same seed gives the same schedule. A worker that is
paused or dead is simply not sent to.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

from streams.protocol.ports import Fenced, Stop

T = TypeVar("T")
Yield = Generator[Any, None, T]


class _Step:
    def __await__(self) -> Yield[None]:
        yield None


STEP = _Step()
"""`await STEP`: anything may happen before the caller goes on."""


class Process:
    """What dies, and stands still, as one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.paused_until = 0
        self.threads: list[Thread[Any]] = []

    def start(self, coroutine: Coroutine[Any, Any, T], /) -> Thread[T]:
        thread = Thread(coroutine)
        self.threads.append(thread)
        return thread

    def kill(self) -> None:
        for thread in self.threads:
            thread.cancel()
        self.threads = []


class Thread(Generic[T]):
    """One coroutine; awaiting it waits for its end."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._result: T | None = None
        self.waits_for: Thread[Any] | None = None
        self.done = False
        self.error: Stop | Fenced | None = None

    @property
    def ready(self) -> bool:
        return not self.done and (self.waits_for is None or self.waits_for.done)

    def step(self) -> None:
        try:
            self.waits_for = self._coroutine.send(None)
        except StopIteration as end:
            self._result, self.done = end.value, True
        except (Stop, Fenced) as error:
            self.error, self.done = error, True

    def cancel(self) -> None:
        if not self.done:
            self.done = True
            self._coroutine.close()

    def __await__(self) -> Yield[T]:
        while not self.done:
            yield self
        if self.error is not None:
            raise self.error
        return self._result  # type: ignore[return-value]  # None only where T is, or after a cancel nobody waits for


def instant(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits: the in-memory store's calls."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # StopIteration does not know its type
    raise AssertionError("it waited")
