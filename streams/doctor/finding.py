"""What one check found: how it stands, in words, and what mends it.

A check is a coroutine that returns what is so, or raises: Doubt where something will hurt one day, Broken or any error
that a user can mend where it hurts now. Errors of ours say the thing, its value and, behind the last colon, the remedy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from models.documents import ArtefactError
from models.registry import RegistryError
from storage.errors import StorageDown, StorageError
from streams.protocol.ports import SinkDown, Stop, StoreDown

State = Literal["ok", "doubt", "fails", "skipped"]
WITHIN_S: Final = 1.5  # of one check: a doctor that waits is no help, and what it imports takes a second
MENDED: Final = (SinkDown, StoreDown, StorageDown, StorageError, ArtefactError, RegistryError, OSError)

Check = Callable[[], Awaitable[str]]


class Doubt(Exception):  # noqa: N818 - nothing is wrong yet
    """It works, and will not always; the text ends in a colon and the remedy."""


class Broken(Exception):  # noqa: N818 - a finding, no error of ours
    """A worker would stop or stand still for it; the text ends in a colon and the remedy."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`area` is what it is about, `check` what was looked at."""

    area: str
    check: str
    state: State
    said: str
    remedy: str = ""


async def looked(area: str, checks: Sequence[tuple[str, Check]], within_s: float = WITHIN_S) -> list[Finding]:
    """One finding for each check, in turn; where the first fails the others are skipped: they need what it looks at."""
    found = list[Finding]()
    for name, check in checks:
        if found and found[0].state == "fails":
            found.append(skipped(name, found[0]))
        else:
            found.append(await _one(area, name, check, within_s))
    return found


def skipped(check: str, first: Finding) -> Finding:
    """Of a check that needs what the first of its area looks at."""
    return Finding(first.area, check, "skipped", f"{first.check} fails")


async def _one(area: str, name: str, check: Check, within_s: float) -> Finding:
    try:
        async with asyncio.timeout(within_s):
            return Finding(area, name, "ok", await check())
    except Doubt as doubt:
        return Finding(area, name, "doubt", *parted(str(doubt)))
    except TimeoutError:
        return Finding(area, name, "fails", f"no answer within {within_s:g} s", _remedy(area))
    except (Broken, Stop) as broken:
        said, remedy = parted(str(broken))
        return Finding(area, name, "fails", said, remedy or _remedy(area))
    except MENDED as error:
        return Finding(area, name, "fails", str(error), _remedy(area))


def parted(text: str) -> tuple[str, str]:
    """(what is so, what mends it) of a line of ours."""
    said, colon, remedy = text.rpartition(": ")
    return (said, remedy) if colon else (text, "")


def _remedy(area: str) -> str:
    return {
        "broker": "check that it runs, HEADRACE_KAFKA__BROKERS and HEADRACE_KAFKA__SECURITY_PROTOCOL",
        "store": "check that it runs and HEADRACE_REDIS__URL",
        "archive": "check HEADRACE_ARCHIVE__URL",
        "registry": "check HEADRACE_REGISTRY__URL",
        "schemas": "check that it runs and HEADRACE_SCHEMA_REGISTRY__URL",
    }.get(area, "see docs/running.md")
