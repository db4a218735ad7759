"""A process's port: metrics, and whether it is alive."""

from __future__ import annotations

import logging
import urllib.request
from contextlib import AsyncExitStack

import pytest
from prometheus_client import CollectorRegistry, Counter

from schemas.settings import Metrics
from streams.collectors import BeforeALook
from streams.protocol.ports import Stop
from streams.scrape import serve_metrics


def _asked(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        text: bytes = answer.read()
    return text.decode()


async def test_health_is_told_without_a_count_and_metrics_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    looks = list[int]()
    BeforeALook(registry).steps.append(lambda: looks.append(1))
    Counter("seen", "of nothing", registry=registry).inc(3)
    with caplog.at_level(logging.INFO):
        async with AsyncExitStack() as stack:
            serve_metrics(Metrics(), registry, stack)
            port = int(caplog.messages[-1].rsplit(":", 1)[1].partition("/")[0])
            assert _asked(port, "/healthz") == "alive\n"
            assert looks == []
            assert "seen_total 3.0" in _asked(port, "/metrics")
            assert looks == [1]


async def test_a_port_that_is_taken_is_told_with_its_setting(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with AsyncExitStack() as stack:
            serve_metrics(Metrics(), CollectorRegistry(), stack)
            port = int(caplog.messages[-1].rsplit(":", 1)[1].partition("/")[0])
            with pytest.raises(Stop, match="HEADRACE_METRICS__PORT"):
                serve_metrics(Metrics(port=port), CollectorRegistry(), stack)
