"""Real `headrace learn` processes, the labels that they wait for, and what is asked of them from outside."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson

from models.registry import Registry
from schemas.decisions import DecisionLog
from schemas.matured import Matured, decode_matured, key_of
from schemas.timestamps import rfc3339
from streams.data.record import Record
from streams.embedded.processes import free_port
from tests.support.events import START_MS
from tests.support.worker import ROOT, Stream, Worker

MATURE_MS = 60_000
QUICK = {
    "LEARNER__MATURE_DAYS": str(MATURE_MS / 86_400_000),
    "LEARNER__FOLLOW_DAYS": "1",
    "LEARNER__GOODS": "1.0",
    "LEARNER__SNAPSHOT_ROWS": "50",
}
MODEL = "online_logistic"


def start_learner(stream: Stream, url: str | Path, *words: str, **more: str) -> Worker:
    """Starts the process; does not wait for it."""
    port = free_port()
    argv = [sys.executable, "-P", "-m", "streams.cli", "learn", "--metrics-port", str(port), *words]
    told = {"REGISTRY__URL": str(url), "LEARNER__GROUP": f"{stream.group}-learner", **QUICK, **more}
    name = f"learner-{len(stream.children.children)}-{port}"
    return Worker(stream.children.start(name, argv, stream.env(**told), cwd=ROOT), port)


async def learned(stream: Stream, url: str | Path, **more: str) -> None:
    """Lets a process learn all that is there."""
    process = start_learner(stream, url, "--once", **more)
    assert await process.ended() == 0, process.said


async def matured(stream: Stream) -> list[Matured]:
    """The records of `matured`, as a reader sees them: each once, by rising keys."""
    found: list[Matured] = []
    for read in await stream.read("matured"):
        record = decode_matured(read.value or b"")
        if not found or key_of(record) > key_of(found[-1]):
            found.append(record)
    return found


async def logged(stream: Stream) -> dict[str, DecisionLog]:
    """By order id, the first record of `decisions`."""
    from msgspec.json import decode

    found: dict[str, DecisionLog] = {}
    for read in await stream.read("decisions"):
        one = decode(read.value or b"", type=DecisionLog)
        found.setdefault(one.order_id, one)
    return found


def snapshots(url: str | Path) -> dict[str, tuple[str, Any]]:
    """By version the hash of the model, and how far it had read with the hash of its state."""
    registry = Registry.at(str(url))
    found = {}
    for version in registry.versions(MODEL):
        manifest = registry.manifest(MODEL, version)
        found[version] = manifest.model_hash, {k: v for k, v in manifest.data.items() if k != "topic_id"}
    return found


def label(kind: str, order_id: str, after_ms: int, *, user: str | None = None, **more: Any) -> Record:
    """A label that became known so long after START_MS."""
    at_ms = START_MS + after_ms
    body = {"type": kind, "event_id": f"l-{order_id}-{after_ms}", "event_time": rfc3339(at_ms), "order_id": order_id}
    body |= {"user_id": user} if user else {}
    return Record("labels", (user or order_id).encode(), orjson.dumps(body | more), (), at_ms)
