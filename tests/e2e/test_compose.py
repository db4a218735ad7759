"""docker-compose.yml: its services, as processes, decide orders, and doctor finds nothing amiss."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from streams.embedded.processes import Children
from tests.conftest import KAFKA_TIMEOUT_S
from tests.support.compose import ROOT, Compose
from tests.support.events import order_body
from tests.support.need import need
from tests.support.worker import until

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(KAFKA_TIMEOUT_S)]

ORDERS = 30
RUN = ("worker", "learner", "archive", "serving", "prometheus")  # Grafana is no program that is to be had here
UNAVOIDABLE = {"open files"}  # of this machine's process, not of a container's


@pytest.fixture
def stack(children: Children, tmp_path: Path) -> Compose:
    need("java")
    need("promtool")
    secrets = tmp_path / "secrets"
    subprocess.run(["sh", ROOT / "ops" / "compose" / "secrets.sh", secrets], check=True, capture_output=True)
    told = {"SECRETS": str(secrets), "KAFKA_HEAP": "512m", "WORKERS": "2", "VALKEY_MAXMEMORY": "256mb"}
    return Compose(children, tmp_path, told)


def secret(stack: Compose, name: str) -> str:
    return Path(stack.content["secrets"][name]["file"]).read_text()


def orders() -> bytes:
    return b"".join(json.dumps(order_body(f"c{n}", f"u{n % 7}")).encode() + b"\n" for n in range(ORDERS))


async def test_its_services_decide_and_doctor_passes_and_prometheus_scrapes_all_of_them(stack: Compose) -> None:
    stack.up(*RUN)
    code, output, errors = stack.run("headrace", "doctor", "--json")
    findings = json.loads(output)["findings"]
    amiss = [one for one in findings if one["state"] != "ok" and one["check"] not in UNAVOIDABLE]
    assert (code, amiss) == (0, []), errors

    await decided_for_a_producer_of_this_machine(stack)
    await served_to_whoever_has_the_key(stack)
    await scraped(stack)

    assert stack.stop("worker") == [0, 0]
    assert [stack.stop(name) for name in ("learner", "archive", "serving")] == [[0], [0], [0]]
    logs = "".join(path.read_text(errors="replace") for path in (stack.children.folder / "logs").iterdir())
    assert not [name for name in stack.content["secrets"] if name != "valkey_users" and secret(stack, name) in logs]


async def decided_for_a_producer_of_this_machine(stack: Compose) -> None:
    """By the listener that is published, as docs/deploy.md has it."""
    (kafka,) = stack.containers("kafka")
    published = stack.environment(kafka)["KAFKA_ADVERTISED_LISTENERS"].partition("HOST://")[2].partition(",")[0]
    code, _, errors = stack.run("headrace", "produce", "orders", stdin=orders(), HEADRACE_KAFKA__BROKERS=published)
    assert code == 0, errors

    def all_decided() -> bool:
        _, output, errors = stack.run("headrace", "audit", "--json")
        assert output, errors
        return bool(json.loads(output)["decided"] == ORDERS)

    await until(all_decided, 60.0, stack.said)


async def served_to_whoever_has_the_key(stack: Compose) -> None:
    async with httpx.AsyncClient(base_url=f"http://{stack.addresses['serving'][0]}:8080") as client:
        assert (await client.get("/v1/decisions")).status_code == 401
        key = {"x-api-key": secret(stack, "serving_api_key")}

        async def all_told() -> bool:
            answer = await client.get("/v1/decisions", params={"limit": 100}, headers=key)
            return len(answer.json()["items"]) == ORDERS

        await until(all_told, 30.0, stack.said)


async def scraped(stack: Compose) -> None:
    """Every target, both workers among them, and every rule is read."""
    url = f"http://{stack.addresses['prometheus'][0]}:9090/api/v1"

    def asked(what: str) -> Any:
        return httpx.get(f"{url}/{what}", timeout=10).json()["data"]

    def up() -> dict[str, str]:
        return {target["scrapeUrl"]: target["health"] for target in asked("targets")["activeTargets"]}

    await until(lambda: set(up().values()) == {"up"}, 30.0, lambda: str(asked("targets")["activeTargets"]))
    ours = ("worker", "learner", "archive", "serving")
    assert len(up()) == sum(len(stack.addresses[name]) for name in ours) == 5
    named = yaml.safe_load((ROOT / "ops" / "prometheus.yml").read_text())["rule_files"]
    assert {Path(group["file"]).name for group in asked("rules")["groups"]} == {Path(name).name for name in named}


def test_a_check_of_health_finds_what_does_not_answer(stack: Compose) -> None:
    """A process that is stopped keeps its port open: an open port would prove nothing."""
    stack.up("kafka", "valkey")
    for name in ("kafka", "valkey"):
        (one,), (child,) = stack.containers(name), stack.running[name]
        assert stack.healthy(one)
        child.stop()
        assert not stack.healthy(one)
        child.cont()
        assert stack.healthy(one)
