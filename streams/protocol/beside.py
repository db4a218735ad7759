"""What runs beside the caller: a task of asyncio, or a thread of the simulation."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Handle(Protocol[T_co]):
    """Something started."""

    def __await__(self) -> Any: ...

    def cancel(self) -> object: ...


class Start(Protocol):
    """Runs a coroutine beside the caller."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> Handle[T]: ...


def task(coroutine: Coroutine[Any, Any, T], /) -> Handle[T]:
    """The usual one."""
    return asyncio.get_running_loop().create_task(coroutine)
