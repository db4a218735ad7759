"""Apicurio Registry, a schema registry with Confluent's interface, as a child process; it keeps all in memory.

Maven fetches it once into the checkout's own cache (109 MB). Without Java or the download a suite skips with the
reason, or fails where HEADRACE_REQUIRE names java. The version is one that runs on Java 17.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import subprocess
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.embedded.processes import LOCALHOST, Child, Children, free_port, start_service
from tests.support.kafka import CACHE as KAFKA
from tests.support.need import absent, need

CACHE = KAFKA.parent / "apicurio"
VERSION = "3.0.9"
ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
FETCH_S = 300.0
START_S = 60.0  # 4 s on a quiet machine


@dataclass(frozen=True, slots=True)
class Apicurio:
    """A running registry."""

    port: int
    child: Child

    @property
    def url(self) -> str:
        return f"http://{LOCALHOST}:{self.port}/apis/ccompat/v7"

    def register(self, subject: str, schema: Any, kind: str = "AVRO") -> int:
        """The id under which the schema is known from now on."""
        body = json.dumps({"schema": json.dumps(schema), "schemaType": kind}).encode()
        headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
        asked = urllib.request.Request(f"{self.url}/subjects/{subject}/versions", body, headers)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return int(json.load(answer)["id"])


def start_apicurio(children: Children) -> Apicurio:
    need("java")
    jar, port = _jar(), free_port()
    settings = {"quarkus.http.host": LOCALHOST, "quarkus.http.port": str(port)}
    words = [
        "-Xmx384m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        *(f"-D{name}={settings[name]}" for name in settings),
    ]
    child = start_service(children, "apicurio", ["java", *words, "-jar", jar], lambda: _answers(port), START_S)
    return Apicurio(port, child)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"http://{LOCALHOST}:{port}/apis/ccompat/v7/subjects", timeout=1).close()
        return True
    return False


def _jar() -> Path:
    folder = CACHE / VERSION
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as held:  # of several processes, one fetches
        fcntl.flock(held, fcntl.LOCK_EX)
        if not folder.is_dir():
            _fetch(folder)
    return next(folder.glob("*-runner.jar"))


def _fetch(folder: Path) -> None:
    if shutil.which("mvn") is None:
        absent("java", f"Apicurio is not in {CACHE}, and mvn, which would fetch it, is not on the PATH")
    partly = folder.with_suffix(".part")
    shutil.rmtree(partly, ignore_errors=True)
    command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={partly}"]
    done = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, timeout=FETCH_S, check=False)
    if done.returncode != 0:
        absent("java", f"Maven could not fetch Apicurio: {(done.stdout + done.stderr).strip()[-400:]}")
    (packed,) = partly.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(partly, filter="data")
    packed.unlink()
    partly.rename(folder)
