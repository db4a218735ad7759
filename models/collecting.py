"""Collecting: what may go from a registry, and that it goes. Who says what must stay is streams/models/desk.py.

A learner puts a version every ten minutes, and those that were in force stay as long as decisions name them. So no more
is looked at than must be: versions are listed, not files, and of whole numbers, which are put in their order, none
behind the first that is too young. What it takes grows with what is removed.
The price: one that was put by hand under a low number keeps those behind it until it is old itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Final

from models.registry import Registry

HALF_PUT_MS: Final = 86_400_000  # a version without a manifest of this age has no writer any more
DAY_MS: Final = 86_400_000
AT_ONCE: Final = 64  # versions that go before it is asked again what is in force


def collect(registry: Registry, keep: Collection[str], *, older_than_ms: int = 0, dry_run: bool = False) -> list[str]:
    """Removes the versions that are not in `keep` (name/version) and were put at least so long ago; which.

    Never one that is in force now. One that was put there by hand, without a claim, has no age and stays.
    """
    gone = []
    for name in registry.folders():
        old = (label for label, _ in _old(registry, name, keep, older_than_ms))
        while some := list(islice(old, AT_ONCE)):
            gone += _removed(registry, some, dry_run=dry_run)
    return gone


def thin(registry: Registry, name: str, keep: Collection[str], *, older_than_ms: int) -> list[str]:
    """Of one model, removes all that are so old, are not to stay and are not the first of their day; which."""
    return _removed(registry, later_of_their_day(list(_old(registry, name, keep, older_than_ms))), dry_run=False)


def later_of_their_day(aged: Sequence[tuple[str, int]]) -> list[str]:
    """Of labels with their times, oldest first, all but the first of each day (UTC)."""
    days = [at_ms // DAY_MS for _, at_ms in aged]
    return [label for place, (label, _) in enumerate(aged) if place and days[place] == days[place - 1]]


def _removed(registry: Registry, labels: Sequence[str], *, dry_run: bool) -> list[str]:
    in_force = {ref.label for ref in registry.deployed().refs}
    gone = [label for label in labels if label not in in_force]
    if not dry_run:
        registry.remove(gone)
    return gone


def _old(registry: Registry, name: str, keep: Collection[str], older_than_ms: int) -> Iterator[tuple[str, int]]:
    """Those of a model that were put so long ago and are not to stay, and when that was."""
    young, now_ms = False, registry.now_ms()
    for version in registry.begun(name):
        label = f"{name}/{version}"
        if label in keep or (young and version.isdigit()):
            continue
        at_ms = registry.claim_ms(name, version)
        if at_ms is None:
            continue
        if now_ms - at_ms < older_than_ms:
            young = young or version.isdigit()
        elif now_ms - at_ms >= HALF_PUT_MS or registry.has(name, version):
            yield label, at_ms
