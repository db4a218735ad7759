"""A real Prometheus on a running stream: every panel's query is answered, and no alert fires that should not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from streams.embedded.processes import LOCALHOST, Child, free_port
from tests.support.archive import decided
from tests.support.events import orders
from tests.support.need import need
from tests.support.worker import Stream, Worker, until

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = ROOT / "ops" / "grafana" / "dashboards"
SETTINGS = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{alerts}/stream.yml", "{alerts}/models.yml", "{alerts}/learning.yml", "{alerts}/parity.yml"]
scrape_configs:
  - job_name: headrace
    static_configs: [{{targets: ["{target}"]}}]
"""
MUST_TELL = {"stream", "decisions", "store"}  # the other processes do not run here
MAY_BE_SILENT = (  # nothing of it happens in a stream that is well; bags are counted every minute or so
    "Copies", "Waits", "Failures", "Rules alone", "Bags", "Memory of the bags",
)  # fmt: skip


def start_prometheus(stream: Stream, worker: Worker, folder: Path) -> tuple[Child, str]:
    need("promtool")
    settings, port = folder / "prometheus.yml", free_port()
    settings.write_text(SETTINGS.format(alerts=ROOT / "ops" / "alerts", target=f"{LOCALHOST}:{worker.port}"))
    argv = ["prometheus", f"--config.file={settings}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={LOCALHOST}:{port}"]  # fmt: skip
    return stream.children.start("prometheus", argv, {}, cwd=folder), f"http://{LOCALHOST}:{port}"


def answered(url: str, query: str) -> list[Any]:
    """The series of a query now."""
    asked = query.replace("$__rate_interval", "20s")
    answer = httpx.get(f"{url}/api/v1/query", params={"query": asked}, timeout=10).json()
    assert answer["status"] == "success", (asked, answer)
    found: list[Any] = answer["data"]["result"]
    return found


def told(url: str, what: str) -> Any:
    """What Prometheus says of its alerts or rules."""
    return httpx.get(f"{url}/api/v1/{what}", timeout=10).json()["data"]


def queries(board: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(panel, query)"""
    return [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel["targets"]]


async def test_every_panel_is_answered_and_no_alert_fires_while_all_is_well(
    embedded_stream: Stream, tmp_path: Path
) -> None:
    stream = embedded_stream
    worker = stream.worker()
    await stream.working(worker)
    prometheus, url = start_prometheus(stream, worker, tmp_path)

    def scraped() -> bool:
        assert prometheus.running, prometheus.last_words()
        try:
            return bool(answered(url, "up == 1"))
        except (httpx.HTTPError, ValueError):  # it answers in words before it is ready
            return False

    await until(scraped, 30.0, prometheus.last_words)
    for part in range(4):
        await stream.send(*orders(40, users=5, name=f"p{part}-"))
        await decided(stream, 40 * (part + 1))
        await asyncio.sleep(1.5)

    silent = []
    for path in sorted(DASHBOARDS.glob("*.json")):
        board = json.loads(path.read_text())
        for panel, query in queries(board):
            if not answered(url, query) and path.stem in MUST_TELL and not panel.startswith(MAY_BE_SILENT):
                silent.append((path.stem, panel, query))
    assert not silent
    alerts = told(url, "alerts")["alerts"]
    assert [one["labels"]["alertname"] for one in alerts if one["state"] == "firing"] == []
    assert {rule["health"] for group in told(url, "rules")["groups"] for rule in group["rules"]} == {"ok"}
