"""What the image weighs, and whether it runs where nothing can be written: the Dockerfile's steps in a folder.

    python -m bench.image

No engine is needed. What the file copies is copied, its RUN lines are run by a shell with the paths of the image turned
into ones of the folder, and its ENV with them; the base image is this machine's Python. Then what was installed is
mounted read-only, in a name space of the process's own, and `headrace --version`, the machine code of the loops and
`headrace doctor` are asked of it as a container would: with nothing in the environment, and a place for files of its
own. The price: two minutes, a gigabyte of temporary disk, Linux; the base image's 130 MB are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import figure
from bench.startup import installed_mb

DOCKERFILE = figure.ROOT / "Dockerfile"
PLACES = ("/opt/headrace", "/var/cache/headrace", "/var/headrace")  # what the last stage takes from the first
INSTALLED_MB, KERNEL_S = 900, 5.0
LARGEST = 10


def steps(text: str) -> Iterator[tuple[str, str]]:
    """(instruction, what it is told) of the stage that builds, in order."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.M)).splitlines()
    stages = 0
    for name, told in (line.split(maxsplit=1) for line in lines if line.strip()):
        stages += name == "FROM"
        if stages == 1:
            yield name, told


def moved(text: str, root: Path) -> str:
    """Paths of the image as paths below `root`."""
    return re.sub(r"(?<![\w/.])(/opt/|/var/|/build)", rf"{root}\1", text)


def build(root: Path) -> None:
    """Runs the stage; raises CalledProcessError for a step that fails."""
    (root / "build").mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "venv", root / "base"], check=True)
    way_out = {name: value for name, value in os.environ.items() if re.search("PROXY|CERT|INDEX", name, re.I)}
    environment = {**way_out, "PATH": f"{root / 'base' / 'bin'}:/usr/bin:/bin", "HOME": str(root)}
    for name, told in steps(DOCKERFILE.read_text()):
        if name == "ENV":
            environment |= dict(word.split("=", 1) for word in shlex.split(moved(told, root)))
        elif name == "COPY":
            *sources, target = told.split()
            copy(sources, root / "build" / target)
        elif name == "RUN":
            print(f"RUN {told[:100]}...", flush=True)
            subprocess.run(["sh", "-ec", moved(told, root)], cwd=root / "build", env=environment, check=True)


def copy(sources: Sequence[str], target: Path) -> None:
    for source in sources:
        here = figure.ROOT / source
        if here.is_dir():
            shutil.copytree(here, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy(here, target)


def confined(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A program of the image with what is installed mounted read-only and nothing else known to it."""
    installed = root / "opt" / "headrace"
    mounting = f'mount --bind {installed} {installed} && mount -o remount,bind,ro {installed} && exec "$@"'
    scratch = root / "tmp"
    scratch.mkdir(exist_ok=True)
    environment = {
        "PATH": f"{installed / 'bin'}:/usr/bin:/bin",
        "HOME": str(scratch),
        "NUMBA_CACHE_DIR": str(root / "var" / "cache" / "headrace"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", mounting, "sh", *words]
    return subprocess.run(argv, env=environment, cwd=scratch, capture_output=True, text=True, check=False)


def looked_at(root: Path) -> dict[str, Any]:
    """What the read-only installation says of itself."""
    written = confined(root, "sh", "-c", f"echo x > {root}/opt/headrace/x")
    assert written.returncode != 0, "the installation can be written: nothing was shown"
    version = confined(root, "headrace", "--version")
    assert version.returncode == 0, version.stderr
    began = time.perf_counter()
    kernel = confined(root, "python", "-c", "import features.kernel, models.kernel")
    assert kernel.returncode == 0, kernel.stderr
    took = time.perf_counter() - began
    doctor = confined(root, "headrace", "doctor", "--json")
    findings = {f"{one['area']} {one['check']}": one for one in json.loads(doctor.stdout)["findings"]}
    assert findings["shop model"]["state"] == "ok", findings
    return {
        "kernel_s": round(took, 1),
        "version": version.stdout.strip(),
        "extras": findings["host extras"]["said"],
    }


def place_mb(path: Path) -> float:
    return round(sum(one.stat().st_size for one in path.rglob("*") if one.is_file() and not one.is_symlink()) / 1e6, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description="runs the Dockerfile's steps, weighs what comes out and runs it")
    parser.add_argument("--no-figure", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headrace-image-") as folder:
        root = Path(folder)
        build(root)
        sizes = installed_mb(root / "opt" / "headrace")
        weight = round(sum(place_mb(root / place.lstrip("/")) for place in PLACES))
        said = looked_at(root)
    value = {"installed_mb": weight, "kernel_s": said.pop("kernel_s")}
    print(value, said)
    if not arguments.no_figure:
        path = figure.write(
            "image",
            value=value,
            target={"installed_mb": INSTALLED_MB, "kernel_s": KERNEL_S},
            command="python -m bench.image",
            data_hash=figure.sha256(DOCKERFILE, figure.ROOT / "pyproject.toml", figure.ROOT / "constraints.txt"),
            **said,
            largest_mb=dict(list(sizes.items())[:LARGEST]),
        )
        print(path)


if __name__ == "__main__":
    main()
