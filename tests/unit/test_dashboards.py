"""Dashboards are what ops/grafana/make.py says, and ask for metrics that there are."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.metric_names import metric_names

GRAFANA = Path(__file__).resolve().parents[2] / "ops" / "grafana"


def made() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("make", GRAFANA / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules["make"] = module  # dataclasses look themselves up there
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["make"]
    found: dict[str, str] = module.files()
    return found


def test_the_files_are_what_the_table_of_panels_makes() -> None:
    lying = {path.name: path.read_text() for path in (GRAFANA / "dashboards").glob("*.json")}
    assert lying == made(), "run python ops/grafana/make.py"


@pytest.mark.parametrize("name", ["stream", "decisions", "models", "store"])
def test_panels_ask_for_metrics_that_there_are(name: str) -> None:
    board = json.loads((GRAFANA / "dashboards" / f"{name}.json").read_text())
    asked = {one for panel in board["panels"] for target in panel["targets"] for one in _metrics(target["expr"])}
    assert asked
    assert asked <= metric_names()


def _metrics(query: str) -> list[str]:
    return re.findall(r"headrace_\w+", query)
