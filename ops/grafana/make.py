"""The dashboards as code: a table of panels in, Grafana's JSON out.

    python ops/grafana/make.py        writes ops/grafana/dashboards/*.json anew

A panel is a title, a unit and its queries. Colours, sizes and places follow from the table, so that a panel more is a
line more, and a test holds the files to it and runs every query. The price: what Grafana's own editor saves is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
FOLDER: Final = HERE / "dashboards"
WIDE, HIGH, COLUMNS = 12, 8, 24
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True)
class Panel:
    """`queries` are (PromQL, legend); `unit` is Grafana's name of it."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    what: str = ""


@dataclass(frozen=True)
class Board:
    """One dashboard."""

    name: str
    title: str
    panels: Sequence[Panel]


def quantiles(series: str, by: str = "") -> list[tuple[str, str]]:
    """p50 and p99 of a histogram."""
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return [
        (
            f"histogram_quantile({q}, sum by ({labels}) (rate({series}_bucket[$__rate_interval])))",
            f"p{q * 100:g}{legend}",
        )
        for q in (0.5, 0.99)
    ]


def rate(series: str, by: str) -> tuple[str, str]:
    """A counter a second."""
    return f"sum by ({by}) (rate({series}[$__rate_interval]))", f"{{{{{by}}}}}"


BOARDS: Final = (
    Board(
        "stream",
        "Headrace: the stream",
        (
            Panel("Events taken a second", "ops", [rate("headrace_events_in_total", "topic")]),
            Panel("Records published a second", "ops", [rate("headrace_events_out_total", "topic")]),
            Panel("From order to decision", "s", quantiles("headrace_latency_seconds", "topic")),
            Panel("Lag", "short", [("sum by (topic) (headrace_lag_records)", "{{topic}}")], "records behind the end"),
            Panel("Age of an event when features know it", "s", quantiles("headrace_freshness_seconds", "topic")),
            Panel("Stages of a range", "s", quantiles("headrace_stage_seconds", "stage")),
            Panel("Copies and dead letters a second", "ops",
                  [rate("headrace_duplicates_total", "topic"), rate("headrace_dead_letters_total", "reason")]),
            Panel("Waits, repeats and catching up", "short",
                  [rate("headrace_backoffs_total", "dependency"), rate("headrace_ranges_repeated_total", "topic"),
                   ("max by (topic) (headrace_catching_up)", "catching up {{topic}}")]),
            Panel("Standing still, and ended for it", "short",
                  [("max by (instance) (headrace_still_seconds)", "{{instance}}, seconds"),
                   ("max(headrace_watchdog_exits_total)", "ended by the watchdog, ever")]),
            Panel("Processor of each process", "percentunit",
                  [("rate(process_cpu_seconds_total[$__rate_interval])", "{{instance}}")]),
            Panel("Memory of each process", "bytes", [("process_resident_memory_bytes", "{{instance}}")]),
        ),
    ),
    Board(
        "decisions",
        "Headrace: decisions",
        (
            Panel("Decisions a second", "ops", [rate("headrace_decisions_total", "action")]),
            Panel("Share that is stopped", "percentunit",
                  [('sum(rate(headrace_decisions_total{action!="allow"}[$__rate_interval]))'
                    " / sum(rate(headrace_decisions_total[$__rate_interval]))", "review or block")]),
            Panel("Scores", "short", quantiles("headrace_score")),
            Panel("Rules alone, and decisions made again", "short",
                  [("max(headrace_no_model)", "rules alone"),
                   ("sum(increase(headrace_recovered_decisions_total[$__rate_interval]))", "made again")]),
        ),
    ),
    Board(
        "models",
        "Headrace: models",
        (
            Panel("In force", "short", [("max by (model, version) (headrace_model_info)", "{{model}} {{version}}")]),
            Panel("Deployment of each worker", "short", [("headrace_deployment", "{{instance}}")]),
            Panel("Age of the champion", "s", [("time() - (max(headrace_champion_since_seconds) > 0)", "in force")]),
            Panel("Challengers, and models that are refused", "short",
                  [("max(headrace_challengers)", "challengers"), ("max(headrace_models_refused)", "refused")]),
            Panel("Looks at the registry that failed", "ops",
                  [("sum(rate(headrace_registry_errors_total[$__rate_interval]))", "failed")]),
            Panel("Online models: average precision", "percentunit",
                  [("max by (model) (headrace_learner_average_precision)", "{{model}}")]),
            Panel("Online models: age of the snapshot", "s",
                  [("max by (model) (headrace_learner_snapshot_age_seconds)", "{{model}}")]),
            Panel("Labels: from order to label", "s", quantiles("headrace_learner_delay_seconds", "label")),
            Panel("Parity: values that differ", "short",
                  [("sum by (feature) (increase(headrace_parity_mismatches_total[1h]))", "{{feature}}")]),
        ),
    ),
    Board(
        "store",
        "Headrace: the store",
        (
            Panel("Bags", "short", [("max by (group) (headrace_group_keys)", "{{group}}")], "estimated from some"),
            Panel("Memory of the bags", "bytes", [("max by (group) (headrace_group_bytes)", "{{group}}")]),
            Panel("Memory of the servers", "bytes",
                  [("max by (server) (headrace_store_memory_bytes)", "{{server}}"),
                   ("max by (server) (headrace_store_memory_limit_bytes)", "limit of {{server}}")]),
            Panel("Calls a second", "ops", [rate("headrace_store_calls_total", "call")]),
            Panel("Round trips a second", "ops",
                  [("sum(rate(headrace_store_round_trips_total[$__rate_interval]))", "all")]),
            Panel("Failures a second", "ops", [rate("headrace_store_errors_total", "kind")]),
            Panel("Bags folded a second", "ops",
                  [("sum(rate(headrace_compactions_total[$__rate_interval]))", "all")]),
            Panel("Age of the newest event", "s",
                  [("time() - max by (group) (headrace_group_newest_event_seconds)", "{{group}}")]),
            Panel("Ids held to tell copies", "short", [("sum by (topic) (headrace_dedup_ids)", "{{topic}}")]),
        ),
    ),
)  # fmt: skip


def dashboard(board: Board) -> dict[str, Any]:
    """As Grafana reads it from a file."""
    return {
        "uid": f"headrace-{board.name}",
        "title": board.title,
        "tags": ["headrace"],
        "schemaVersion": 39,
        "timezone": "utc",
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "source"}]},
        "panels": list(_panels(board)),
    }


def _panels(board: Board) -> Iterator[dict[str, Any]]:
    for at, panel in enumerate(board.panels):
        across = COLUMNS // WIDE
        yield {
            "id": at + 1,
            "type": "timeseries",
            "title": panel.title,
            "description": panel.what,
            "datasource": SOURCE,
            "gridPos": {"x": at % across * WIDE, "y": at // across * HIGH, "w": WIDE, "h": HIGH},
            "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": {"fillOpacity": 8}}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
            "targets": [
                {"refId": chr(ord("A") + n), "expr": query, "legendFormat": legend, "datasource": SOURCE}
                for n, (query, legend) in enumerate(panel.queries)
            ],
        }


def files() -> dict[str, str]:
    """What each file should hold, by name."""
    return {f"{board.name}.json": json.dumps(dashboard(board), indent=2) + "\n" for board in BOARDS}


if __name__ == "__main__":
    for name, text in files().items():
        (FOLDER / name).write_text(text)
