"""docker-compose.yml, read and run without an engine: its commands, environment and health checks as processes.

Each container gets an address of its own (127.x.y.n: on Linux all of 127/8 is this machine), so its ports are those of
the file, however many containers listen on the same one. In all that a container is told, names of services become
their addresses, 0.0.0.0 and 127.0.0.1 its own, and paths of volumes, secrets and mounts those in a folder here. What an
image brings is stood in for by the same program from elsewhere. The price: nothing is confined; limits, users and
read-only roots are for tests/unit/test_compose.py to look at.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from streams.chaos.kafka import jars
from streams.embedded.processes import Child, Children
from streams.embedded.store import ALLOCATOR, server_binary
from tests.support.kafka import CACHE

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
CHECK_EVERY_S = 0.3
OURS, KAFKA, VALKEY = "headrace:", "apache/kafka:", "valkey/valkey:"
VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::-([^}]*))?\})")
NO_PROPERTIES = {"KAFKA_HEAP_OPTS"}  # variables that the image's scripts read themselves

WGET = f"""#!{sys.executable}
import sys, urllib.request
urllib.request.urlopen(sys.argv[-1], timeout=3)
"""

NOTHING: Mapping[str, str] = {}

Service = Mapping[str, Any]


def read(environ: Mapping[str, str], path: Path = FILE) -> dict[str, Any]:
    """The file, its variables filled in from `environ` or their defaults."""
    content: dict[str, Any] = _filled(yaml.safe_load(path.read_text()), environ)
    return content


def _filled(part: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(part, dict):
        return {name: _filled(one, environ) for name, one in part.items()}
    if isinstance(part, list):
        return [_filled(one, environ) for one in part]
    return interpolated(part, environ) if isinstance(part, str) else part


def interpolated(text: str, environ: Mapping[str, str]) -> str:
    """`${NAME:-default}` as Compose reads it; `$$` is a dollar sign."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[1] else environ.get(found[2]) or found[3] or ""

    return VARIABLE.sub(value, text)


def properties(environment: Mapping[str, str]) -> dict[str, str]:
    """What Apache Kafka's image makes of its variables: `_` is a dot, `__` a line below, `___` a dash."""
    found = {}
    for name, value in environment.items():
        if name.startswith("KAFKA_") and name not in NO_PROPERTIES:
            key = name.removeprefix("KAFKA_").lower().replace("_", ".").replace("...", "-").replace("..", "_")
            found[key] = value
    return found


@dataclass(frozen=True, slots=True)
class Container:
    """One of a service. `paths`: where what it calls by a path lies here."""

    name: str
    service: str
    address: str
    told: Service
    paths: Mapping[str, Path]


@dataclass(slots=True)
class Compose:
    """The services that were started, in `folder`."""

    children: Children
    folder: Path
    environ: Mapping[str, str]
    content: dict[str, Any] = field(init=False)
    addresses: dict[str, list[str]] = field(default_factory=dict)
    running: dict[str, list[Child]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.content = read(self.environ)
        net = f"127.{random.SystemRandom().randint(1, 254)}.{random.SystemRandom().randint(1, 254)}"
        last = iter(range(2, 255))
        for name, service in self.content["services"].items():
            count = int(service.get("deploy", {}).get("replicas", 1))
            self.addresses[name] = [f"{net}.{next(last)}" for _ in range(count)]
        (self.folder / "bin").mkdir()
        shutil.copy(ROOT / "ops" / "compose" / "answers.sh", self.folder / "bin" / "answers")  # as the Dockerfile does
        (self.folder / "bin" / "wget").write_text(WGET)  # busybox's, of other images
        (self.folder / "bin" / "wget").chmod(0o755)

    # ---- what is asked of it

    def up(self, *names: str) -> None:
        """Starts services, those that they depend on before them, and waits until each is well."""
        for name in names:
            if name in self.running:
                continue
            depends = self.content["services"][name].get("depends_on", {})
            self.up(*depends)
            for other, how in depends.items():
                assert how["condition"] == self._reached(other), (name, other, how)
            self.running[name] = [self._start(one) for one in self.containers(name)]
            for one, child in zip(self.containers(name), self.running[name], strict=True):
                self._well(one, child)

    def run(self, name: str, *command: str, stdin: bytes = b"", **more: str) -> tuple[int, str, str]:
        """A one-shot command in a container of the service: exit code, output, errors. `more`: further variables."""
        (container,) = self.containers(name)
        argv = self._argv(container, command, more)
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=60, cwd=ROOT, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def stop(self, name: str) -> list[int]:
        """SIGTERM, and as long as the file gives it; the exit codes."""
        grace = float(str(self.content["services"][name].get("stop_grace_period", "10s")).rstrip("s"))
        return [child.terminate(grace) for child in self.running.pop(name)]

    def said(self) -> str:
        return "\n".join(child.last_words() for some in self.running.values() for child in some)

    def containers(self, name: str) -> list[Container]:
        service = self.content["services"][name]
        return [
            Container(name if number == 0 else f"{name}-{number + 1}", name, address, service, self._paths(service))
            for number, address in enumerate(self.addresses[name])
        ]

    # ---- what a container is told

    def _paths(self, service: Service) -> dict[str, Path]:
        """By path in the container, the longest first."""
        found = {}
        for mount in service.get("volumes", []):
            source, target = mount.split(":")[:2]
            here = ROOT / source if source.startswith(".") else self.folder / "volumes" / source
            if not source.startswith("."):
                here.mkdir(parents=True, exist_ok=True)
            found[target] = here
        for secret in service.get("secrets", []):
            found[f"/run/secrets/{secret}"] = Path(self.content["secrets"][secret]["file"])
        return dict(sorted(found.items(), key=lambda one: -len(one[0])))

    def _mounted(self, container: Container) -> dict[str, Path]:
        """The paths, where those of the checkout are copied: what they hold names services and paths too."""
        found = {}
        for target, here in container.paths.items():
            found[target] = here
            if here.is_relative_to(ROOT):
                found[target] = self.folder / "mounts" / container.name / target.lstrip("/")
        for target, here in found.items():
            source = container.paths[target]
            if source != here and not here.exists():
                for path in [source] if source.is_file() else [one for one in source.rglob("*") if one.is_file()]:
                    copy = here / path.relative_to(source) if source.is_dir() else here
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    copy.write_text(self._translated(path.read_text(), container.address, found))
        return found

    def _translated(self, text: str, own: str, paths: Mapping[str, Path]) -> str:
        text = re.sub(r"\b(0\.0\.0\.0|127\.0\.0\.1)\b", own, text).replace("://:", f"://{own}:")
        for name, addresses in self.addresses.items():
            text = re.sub(rf"(?<![\w.-]){name}(?=:\d)", addresses[0], text)
            targets = ", ".join(f'"{address}:\\1"' for address in addresses)
            asked = rf"dns_sd_configs:[^\n]*\n\s+- \{{names: \[{name}\], type: A, port: (\d+)[^}}]*\}}"
            text = re.sub(asked, f"static_configs: [{{targets: [{targets}]}}]", text)
        for target, here in paths.items():
            text = re.sub(rf"(?<![\w/.-]){re.escape(target)}(?![\w-])", str(here), text)
        return text

    def environment(self, container: Container) -> dict[str, str]:
        """All of it: nothing of this machine's but where programs are."""
        paths = self._mounted(container)
        told = {
            name: self._translated(str(value), container.address, paths)
            for name, value in container.told.get("environment", {}).items()
        }
        return {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "HOME": str(self.folder), **told}

    def _argv(self, container: Container, command: Sequence[str], more: Mapping[str, str] = NOTHING) -> list[str]:
        paths, environment = self._mounted(container), {**self.environment(container), **more}
        words = [self._translated(word, container.address, paths) for word in command]
        image = container.told["image"]
        if image.startswith(OURS):
            words = [sys.executable, "-P", "-m", "streams.cli", *words]
        elif image.startswith(VALKEY):
            words[0], environment = str(server_binary()), {**environment, **ALLOCATOR}
        elif image.startswith(KAFKA):
            words = self._kafka(container, environment)
        else:
            words = [container.service, *words]
        return ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), *words]

    def _kafka(self, container: Container, environment: Mapping[str, str]) -> list[str]:
        """What the image's scripts do: write the settings, give the log a cluster's id, start."""
        settings = self.folder / f"{container.name}.properties"
        settings.write_text("".join(f"{key}={value}\n" for key, value in properties(environment).items()))
        quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        java = ["java", *environment["KAFKA_HEAP_OPTS"].split(), *quick, "-cp", f"{jars(CACHE)}/*"]
        formatting = ["kafka.tools.StorageTool", "format", "-t", environment["CLUSTER_ID"], "-c", str(settings)]
        subprocess.run([*java, *formatting], capture_output=True, timeout=60, check=True)
        return [*java, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "kafka.Kafka", str(settings)]

    # ---- starting, and waiting

    def _start(self, container: Container) -> Child:
        argv = self._argv(container, container.told.get("command", []))
        return self.children.start(container.name, argv, cwd=ROOT)

    def _reached(self, name: str) -> str:
        """What has become of a service that was started."""
        if "healthcheck" in self.content["services"][name]:
            return "service_healthy"
        return "service_completed_successfully"

    def _well(self, container: Container, child: Child) -> None:
        """Waits for the health check, or for the end of a service that has none."""
        check = container.told.get("healthcheck")
        if check is None:
            assert child.wait(60.0) == 0, child.last_words()
            return
        seconds = {name: float(check[name].rstrip("s")) for name in ("interval", "timeout", "start_period")}
        deadline = time.monotonic() + seconds["start_period"] + check["retries"] * seconds["interval"]
        while not self.healthy(container):
            assert child.running, child.last_words()
            assert time.monotonic() < deadline, f"{container.name} is not well:\n{child.last_words()}"
            time.sleep(CHECK_EVERY_S)

    def healthy(self, container: Container) -> bool:
        """What its health check says now."""
        check, paths = container.told["healthcheck"], self._mounted(container)
        kind, *words = [self._translated(word, container.address, paths) for word in check["test"]]
        assert kind == "CMD"
        environment = self.environment(container)
        try:
            done = subprocess.run(
                words, env=environment, capture_output=True, timeout=float(check["timeout"].rstrip("s")), check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0
