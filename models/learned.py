"""What learners keep in a registry beside their snapshots: of each model the newest one that may score.

    <url>/_learners/<model>.json    that snapshot; written over by the next

A learner that starts holds new snapshots against it, and puts it in force once a champion asks for it. So neither it
nor the newest of all, which learning goes on from, is ever collected. The price: one small file that is changed, by
whoever learns.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

import msgspec

from models.registry import Registry
from schemas.deployments import Ref

FOLDER: Final = "_learners"  # no model has this name


def keep_sane(registry: Registry, ref: Ref) -> None:
    """From now on this is the newest snapshot of the model that may score."""
    registry.place.commit(_path(ref.name), msgspec.json.encode(ref))


def sane(registry: Registry, name: str) -> Ref | None:
    """None where there is none yet, or what is there says nothing."""
    try:
        with registry.place.open(_path(name)) as raw:
            return msgspec.json.decode(raw.read(), type=Ref)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def going_on(registry: Registry) -> set[str]:
    """name/version of what learners start from."""
    found = set[str]()
    for path, _ in registry.place.list(FOLDER):
        name = path.removeprefix(f"{FOLDER}/").removesuffix(".json")
        found |= {f"{name}/{version}" for version in islice(filter(str.isdigit, registry.newest(name)), 1)}
        found |= {ref.label for ref in [sane(registry, name)] if ref is not None}
    return found


def _path(name: str) -> str:
    return f"{FOLDER}/{name}.json"
