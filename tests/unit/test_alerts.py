"""Alert rules are what Prometheus can read, and wake somebody when they should: ops/alerts/*_test.yml."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from streams.learner.metrics import LearnerMetrics
from streams.metrics import Metrics
from streams.parity.watch import ParityMetrics
from tests.support.need import need

ALERTS = Path(__file__).resolve().parents[2] / "ops" / "alerts"
RULES = sorted(path for path in ALERTS.glob("*.yml") if not path.stem.endswith("_test"))


def promtool(*arguments: str) -> None:
    need("promtool")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, cwd=ALERTS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rules", RULES, ids=lambda path: path.name)
def test_prometheus_can_read_the_rules(rules: Path) -> None:
    promtool("check", "rules", rules.name)


@pytest.mark.parametrize("rules", RULES, ids=lambda path: path.name)
def test_the_rules_fire_when_they_should_and_only_then(rules: Path) -> None:
    promtool("test", "rules", f"{rules.stem}_test.yml")


@pytest.mark.parametrize("rules", RULES, ids=lambda path: path.name)
def test_the_rules_ask_for_metrics_that_there_are(rules: Path) -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    ParityMetrics(registry)
    LearnerMetrics(registry)
    known = {sample.name for metric in registry.collect() for sample in metric.samples}
    known |= {metric.name for metric in registry.collect()}
    known |= {f"{metric.name}_total" for metric in registry.collect() if metric.type == "counter"}
    asked = set(re.findall(r"headrace_\w+", rules.read_text()))
    assert asked <= known
