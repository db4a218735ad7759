"""The Dockerfile: what it copies is there, what it installs is pinned, and nobody is root in it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support.compose import ROOT, read

BIN = Path(sys.executable).parent
HADOLINT = shutil.which("hadolint", path=str(BIN))

TEXT = (ROOT / "Dockerfile").read_text()
LINES = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.M)).splitlines()
STEPS = [tuple(line.split(maxsplit=1)) for line in LINES if line.strip()]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def steps(instruction: str) -> list[str]:
    return [told for name, told in STEPS if name == instruction]


def copied() -> list[str]:
    """What is taken from the checkout."""
    return [source for told in steps("COPY") if "--from" not in told for source in told.split()[:-1]]


@pytest.mark.skipif(HADOLINT is None, reason="hadolint has no program for this machine")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([str(HADOLINT), ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_shellcheck_finds_nothing_in_the_scripts() -> None:
    scripts = sorted((ROOT / "ops" / "compose").glob("*.sh"))
    assert len(scripts) == 2
    done = subprocess.run([BIN / "shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_each_instruction_is_one_that_docker_knows() -> None:
    known = {"FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in STEPS} == known


def test_what_is_copied_is_in_the_checkout_and_let_through_and_is_all_that_is_installed() -> None:
    assert all((ROOT / source).exists() for source in copied())
    assert {source.rstrip("/") for source in copied() if source.endswith("/")} == set(
        PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    )
    assert all(let_through(source.rstrip("/")) for source in copied())


def test_data_caches_and_secrets_stay_out_of_the_build() -> None:
    assert not [name for name in ("data", ".git", ".venv", ".cache", "secrets", "docs", "tests") if let_through(name)]
    assert not let_through("ops/compose/valkey_users.acl")
    assert "**/__pycache__" in (ROOT / ".dockerignore").read_text()


def let_through(path: str) -> bool:
    """Whether .dockerignore leaves a path: the last rule that fits it, or a folder above it, decides."""
    rules = [rule for rule in (ROOT / ".dockerignore").read_text().splitlines() if rule and rule[0] != "#"]
    above = ["/".join(path.split("/")[: n + 1]) for n in range(path.count("/") + 1)]
    out = False
    for rule in rules:
        pattern = rule.removeprefix("!")
        if any(fnmatch(one, pattern) and one.count("/") == pattern.count("/") for one in above):
            out = not rule.startswith("!")
    return not out


def test_both_stages_stand_on_one_image_with_version_and_digest() -> None:
    bases = [told.split()[0] for told in steps("FROM")]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", bases[0])


def test_everything_that_is_installed_is_held_to_its_hash() -> None:
    installs = [part for told in steps("RUN") for part in told.split("&&") if re.search(r"\binstall\b|\bbuild\b", part)]
    of_others = [part for part in installs if "wheels/*.whl" not in part]
    assert len(of_others) == 3
    assert all("--require-hashes" in part for part in of_others)
    (own,) = [part for part in installs if part not in of_others]
    assert "--no-deps" in own
    constraints = (ROOT / "constraints.txt").read_text()
    assert re.search(r"^uv==[\d.]+ \\\n    --hash=sha256:", constraints, re.M)
    assert re.search(r"^hatchling==[\d.]+ \\\n    --hash=sha256:", constraints, re.M)


def test_it_brings_what_its_processes_need_and_no_torch() -> None:
    extras = set(re.findall(r"--extra (\w+)", TEXT))
    assert extras == {"history", "network", "avro", "learn", "serve"}
    asked = [name for extra in extras for name in PROJECT["project"]["optional-dependencies"][extra]]
    assert not [name for name in asked if name.startswith("torch")]


def test_a_container_is_nobody_and_is_told_to_end_by_sigterm() -> None:
    (user,) = steps("USER")
    assert steps("STOPSIGNAL") == ["SIGTERM"]
    assert steps("ENTRYPOINT") == ['["headrace"]']
    services = read({})["services"].values()
    ours = [service for service in services if service["image"].startswith("headrace:")]
    assert {service["user"] for service in ours} == {user}
    owned = {told.split("--chown=")[1].split()[0] for told in steps("COPY") if "--chown" in told}
    assert owned == {user}
    mounts = [mount.split(":") for service in ours for mount in service.get("volumes", [])]
    made = [told.split()[-1] for told in steps("COPY") if "--chown" in told]  # a volume takes its owner from the image
    assert all(target.startswith(tuple(made)) for _, target, *_ in mounts)
