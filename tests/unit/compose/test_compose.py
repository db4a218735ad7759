"""docker-compose.yml says what Compose understands, confines every container, and agrees with what the docs demand."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator  # type: ignore[import-untyped] # it has no types

from schemas.settings import load, variables
from streams.chaos.kafka import POM
from streams.embedded.store import DURABLE, server_binary
from streams.foreground import END_WITHIN_S
from tests.support.compose import FILE, OURS, ROOT, interpolated, properties, read

COMPOSE = read({})
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
OURS_TOO = [name for name, service in SERVICES.items() if service["image"].startswith(OURS)]
OTHERS = [name for name in SERVICES if name not in OURS_TOO]
ENDS_BY_ITSELF = {"topics", "headrace"}
RUNS_AS_ANOTHER = {"kafka"}  # without `user`: its image has one, whose number is the image's own affair
SCHEMA = json.loads(gzip.decompress((Path(__file__).parent / "compose-spec.json.gz").read_bytes()))


def _seconds(said: str) -> float:
    return float(said.removesuffix("s"))


def _bytes(said: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([mg])b?", said).groups()  # type: ignore[union-attr]  # it raises, which fails
    return int(number) << {"m": 20, "g": 30}[unit]


def test_the_file_is_what_composes_schema_allows() -> None:
    faults = [(list(fault.path), fault.message) for fault in Draft7Validator(SCHEMA).iter_errors(COMPOSE)]
    assert faults == []
    unread = yaml.safe_load(FILE.read_text())
    assert not list(Draft7Validator(SCHEMA).iter_errors(unread))
    unread["services"]["worker"]["health_check"] = {}
    assert list(Draft7Validator(SCHEMA).iter_errors(unread))  # it would find a slip


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    if name not in RUNS_AS_ANOTHER:
        user, group = service["user"].split(":")
        assert int(user) > 0
        assert int(group) >= 0


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_published_is_published_to_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    assert "network_mode" not in SERVICES[name]


@pytest.mark.parametrize("name", SERVICES)
def test_what_runs_has_a_health_check_and_starts_again_and_what_it_needs_is_well_before(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == ("no" if name in ENDS_BY_ITSELF else "unless-stopped")
    assert ("healthcheck" in service) == (name not in ENDS_BY_ITSELF)
    for other, how in service.get("depends_on", {}).items():
        assert how["condition"] == ("service_completed_successfully" if other in ENDS_BY_ITSELF else "service_healthy")


@pytest.mark.parametrize("name", OTHERS)
def test_an_image_of_others_has_a_version_and_a_digest(name: str) -> None:
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+@sha256:[0-9a-f]{64}", SERVICES[name]["image"])


@pytest.mark.parametrize("name", OURS_TOO)
def test_a_process_of_ours_has_time_to_end_and_its_settings_exist(name: str) -> None:
    service = SERVICES[name]
    assert _seconds(service["stop_grace_period"]) > END_WITHIN_S
    named = {variable for variable in service["environment"] if variable.startswith("HEADRACE_")}
    assert {one.removesuffix("_FILE") if one not in variables() else one for one in named} <= variables().keys()
    for variable, value in service["environment"].items():
        if variable.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in service["secrets"]


@pytest.mark.parametrize("name", OURS_TOO)
def test_what_a_process_of_ours_is_told_can_be_read(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0123456789abcdef")
    for variable, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(variable, str(tmp_path / "secret") if variable.endswith("_FILE") else value)
    settings = load()
    assert (settings.kafka.brokers, settings.redis.username) == ("kafka:9092", "headrace")


def test_workers_can_be_many() -> None:
    worker = SERVICES["worker"]
    assert "container_name" not in worker
    assert "ports" not in worker
    assert read({"WORKERS": "3"})["services"]["worker"]["deploy"]["replicas"] == "3"


def test_no_secret_is_in_an_environment_or_a_command() -> None:
    told = [str(service.get(what)) for service in SERVICES.values() for what in ("environment", "command")]
    assert not [text for text in told if re.search(r"(PASSWORD|API_KEY|SECRET)(?!__FILE|_FILE)\w*'?:", text)]
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert used == COMPOSE["secrets"].keys()


def test_what_is_mounted_from_the_checkout_is_there_and_nobody_may_write_it() -> None:
    mounts = [mount.split(":") for service in SERVICES.values() for mount in service.get("volumes", [])]
    files = [mount for mount in mounts if mount[0].startswith(".")]
    assert files
    for source, _, *mode in files:
        assert (ROOT / source).exists(), source
        assert mode == ["ro"]
    assert {source for source, *_ in mounts if not source.startswith(".")} == COMPOSE["volumes"].keys()


def test_log_and_store_are_of_the_versions_that_the_tests_run_on() -> None:
    _, kafka = re.findall(r"<version>([\d.]+)</version>", POM.read_text())[:2]
    assert SERVICES["kafka"]["image"].startswith(f"apache/kafka:{kafka}@")
    said = subprocess.run([server_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    valkey = re.findall(r"v=([\d.]+)", said)[0]
    assert SERVICES["valkey"]["image"].startswith(f"valkey/valkey:{valkey}@")


def test_the_store_keeps_what_it_acknowledged_and_has_room_to_rewrite_its_file() -> None:
    lines = [line.split(" ", 1) for line in _conf("valkey.conf").splitlines() if line and line[0] != "#"]
    settings = {name: value.strip('"') for name, value in lines}
    assert settings.items() >= DURABLE.items()
    service = SERVICES["valkey"]
    most = _bytes(service["command"][service["command"].index("--maxmemory") + 1].removesuffix("b"))
    assert _bytes(service["mem_limit"]) >= 2 * most


def test_the_stores_user_may_do_what_the_docs_list_and_nobody_else_may_do_anything() -> None:
    listed = (ROOT / "docs" / "store.md").read_text().split("## Permissions")[1].split("##")[0]
    default, headrace = _conf("valkey_users.acl").splitlines()
    assert re.findall(r"\+[\w|]+", headrace) == re.findall(r"\+[\w|]+", listed)
    assert re.findall(r"~\S+", headrace) == ["~{*"]
    assert default.split()[1:3] == ["default", "on"]
    assert re.findall(r"[+~]\S+", default) == ["+ping"]


def test_kafka_is_found_from_within_and_from_this_machine_by_what_it_says_of_itself() -> None:
    settings = properties(SERVICES["kafka"]["environment"])
    assert settings["advertised.listeners"] == "INTERNAL://kafka:9092,HOST://127.0.0.1:9094"
    assert settings["auto.create.topics.enable"] == "false"
    assert SERVICES["kafka"]["ports"] == ["127.0.0.1:9094:9094"]
    other = read({"KAFKA_PORT": "19094"})["services"]["kafka"]
    assert properties(other["environment"])["advertised.listeners"].endswith("HOST://127.0.0.1:19094")
    assert other["ports"] == ["127.0.0.1:19094:9094"]


def test_prometheus_reads_every_rule_file_and_no_test_of_one_but_that_of_a_process_which_does_not_run() -> None:
    settings = yaml.safe_load((ROOT / "ops" / "prometheus.yml").read_text())
    rules = {path.name for path in (ROOT / "ops" / "alerts").glob("*.yml") if not path.stem.endswith("_test")}
    assert {Path(file).name for file in settings["rule_files"]} == rules - {"parity.yml"}
    assert not any("parity" in (service.get("command") or ()) for service in SERVICES.values())


def test_secrets_are_made_once_and_their_hash_is_that_of_the_password(tmp_path: Path) -> None:
    def made() -> dict[str, str]:
        subprocess.run(["sh", ROOT / "ops" / "compose" / "secrets.sh", tmp_path], check=True, capture_output=True)
        return {path.name: path.read_text() for path in tmp_path.iterdir()}

    first = made()
    assert first.keys() == COMPOSE["secrets"].keys()
    assert {len(first[name]) for name in first if name != "valkey_users"} == {48}
    assert made() == first
    (tmp_path / "valkey_password").unlink()
    (tmp_path / "valkey_password").write_text("chosen by hand\n")  # an editor's end of line is no part of it
    assert "#" + _sha256("chosen by hand") in made()["valkey_users"]


def test_the_docs_name_every_variable_and_its_default() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    given = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", FILE.read_text()))
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \| ([\w, ]+) \|", page, re.M)
    assert len(rows) == 8
    for row in rows:
        names, defaults = re.findall(r"\w+", row[0]), row[1].split(", ")
        assert [given[name] for name in names] == defaults
    not_settings = {name for name in given if name not in variables()} - {
        "KAFKA_CLUSTER_ID",
        "KAFKA_CPUS",
        "VALKEY_CPUS",
    }
    assert {name for name in not_settings if f"`{name}" not in page and f"{name}=" not in page} == set()


def test_variables_are_filled_in_as_compose_does() -> None:
    told = {"A": "1", "EMPTY": ""}
    assert interpolated("${A:-2} ${B:-2} ${EMPTY:-3} ${B} $$x", told) == "1 2 3  $x"


def _conf(name: str) -> str:
    return (ROOT / "ops" / "compose" / name).read_text()


def _sha256(text: str) -> str:
    from hashlib import sha256

    return sha256(text.encode()).hexdigest()
