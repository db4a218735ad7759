"""Real `headrace serve` processes, and clients of theirs."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from uuid import uuid4

import httpx

from streams.embedded.processes import Child
from tests.support.worker import ROOT, Stream, until

SERVING = re.compile(r"serving at (http://\S+)")


@dataclass(frozen=True, slots=True)
class Serving:
    """A process and where it answers."""

    child: Child
    url: str

    def client(self, **options: object) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=30, **options)  # type: ignore[arg-type]

    @property
    def said(self) -> str:
        return self.child.log.read_text(errors="replace")


async def start_serving(stream: Stream, **more: str) -> Serving:
    """Starts it; returns when it listens."""
    argv = [sys.executable, "-P", "-m", "streams.cli", "serve", "--port", "0"]
    child = stream.children.start(f"serve-{uuid4().hex[:8]}", argv, stream.env(**more), cwd=ROOT)

    def listens() -> bool:
        assert child.running, child.log.read_text()
        return SERVING.search(child.log.read_text()) is not None

    await until(listens, 40.0, lambda: child.log.read_text())
    found = SERVING.search(child.log.read_text())
    assert found is not None
    return Serving(child, found[1])
