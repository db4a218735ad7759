"""A real S3 server for tests: versitygw, a gateway to a folder, built once by Go into the checkout's own cache.

Without Go, or where its module cannot be had, a suite skips with the reason, or fails where HEADRACE_REQUIRE names go.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streams.embedded.processes import LOCALHOST, Child, Children, free_port, is_open, start_service
from tests.support.need import absent, need

CACHE = Path(__file__).parents[2] / ".cache" / "versitygw"
VERSION = "v1.8.0"
MODULE = f"github.com/versity/versitygw/cmd/versitygw@{VERSION}"
BUILD_S, START_S = 600.0, 20.0
KEY, SECRET = "test-key", "test-s3cret"
BUCKET = "shop"


@dataclass(slots=True)
class S3:
    """The server, with a bucket; `child` is replaced by a restart."""

    port: int
    folder: Path
    children: Children
    program: Path
    child: Child

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}/history?endpoint_override={LOCALHOST}:{self.port}&scheme=http&region=us-east-1"

    @property
    def credentials(self) -> Mapping[str, str]:
        return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}

    def restart(self) -> None:
        self.child.kill()
        self.child = _launch(self.children, self.program, self.folder, self.port)


def start_s3(children: Children) -> S3:
    """A fresh server with an empty bucket."""
    program, port, folder = _program(), free_port(), children.folder / "s3"
    (folder / BUCKET).mkdir(parents=True)
    return S3(port, folder, children, program, _launch(children, program, folder, port))


def _launch(children: Children, program: Path, folder: Path, port: int) -> Child:
    argv: list[str | Path] = [program, "--port", f"{LOCALHOST}:{port}", "--quiet", "posix", folder]
    env = {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
    return start_service(children, f"s3-{port}", argv, lambda: is_open(port), START_S, env)


def _program() -> Path:
    """The server's program, built where absent: one process builds, the others wait."""
    program = CACHE / VERSION / "versitygw"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.is_file():
            need("go")
            env = {**os.environ, "GOBIN": str(program.parent)}
            done = subprocess.run(
                ["go", "install", MODULE], env=env, capture_output=True, text=True, timeout=BUILD_S, check=False
            )
            if done.returncode != 0:
                absent("go", f"versitygw could not be built: {done.stderr.strip()[-500:]}")
    return program
