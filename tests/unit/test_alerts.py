"""Alert rules are what Prometheus can read, and wake somebody when they should: ops/alerts/*_test.yml."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.metric_names import metric_names
from tests.support.need import need

ALERTS = Path(__file__).resolve().parents[2] / "ops" / "alerts"
RUNBOOK = ALERTS.parents[1] / "docs" / "runbook.md"
RULES = sorted(path for path in ALERTS.glob("*.yml") if not path.stem.endswith("_test"))


def promtool(*arguments: str) -> None:
    need("promtool")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, cwd=ALERTS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def checks_of(rules: Path) -> list[Path]:
    """What promtool is to find true of them."""
    return sorted(ALERTS.glob(f"{rules.stem}*_test.yml"))


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def alerts(rules: Path) -> dict[str, dict[str, Any]]:
    """By their names."""
    every = [rule for group in read(rules)["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in every if "alert" in rule}


def names(rules: Path) -> set[str]:
    return set(alerts(rules))


@pytest.mark.parametrize("rules", RULES, ids=lambda path: path.name)
def test_prometheus_can_read_the_rules(rules: Path) -> None:
    promtool("check", "rules", rules.name)


@pytest.mark.parametrize("rules", RULES, ids=lambda path: path.name)
def test_the_rules_fire_when_they_should_and_only_then(rules: Path) -> None:
    promtool("test", "rules", *(path.name for path in checks_of(rules)))


@pytest.mark.parametrize("rules", RULES, ids=lambda path: path.name)
def test_each_alert_is_seen_to_fire_and_to_be_silent(rules: Path) -> None:
    cases = [case for path in checks_of(rules) for test in read(path)["tests"] for case in test["alert_rule_test"]]
    fires = {case["alertname"] for case in cases if case.get("exp_alerts")}
    silent = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    assert (fires, silent) == (names(rules), names(rules))


@pytest.mark.parametrize("rules", RULES, ids=lambda path: path.name)
def test_each_alert_links_its_section_of_the_runbook(rules: Path) -> None:
    for name, alert in alerts(rules).items():
        assert alert["annotations"]["runbook_url"] == f"{{{{ $externalLabels.runbooks }}}}/runbook.md#{name.lower()}"
        assert alert["labels"]["severity"] in {"page", "ticket"}


def test_the_runbook_has_a_section_for_each_alert_and_for_no_other() -> None:
    sections = re.findall(r"^### (Headrace\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(set(sections))
    assert set(sections) == set().union(*map(names, RULES))


@pytest.mark.parametrize("rules", RULES, ids=lambda path: path.name)
def test_the_rules_ask_for_metrics_that_there_are(rules: Path) -> None:
    asked = set(re.findall(r"headrace_\w+", rules.read_text()))
    assert asked <= metric_names()
