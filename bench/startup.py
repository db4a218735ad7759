"""How quickly `headrace` opens its door, and how much room an installation takes.

    python -m bench.startup

`headrace --help` is run as a user runs it, the console script of a fresh environment, and its wall time is the median
of some runs after one that warms the file cache. The environment is made for the purpose: what is installed into it by
`pip install 'headrace[embedded]'` is what the figure counts, byte by byte, bytecode included as pip leaves it. The
price: half a minute and some 400 MB of temporary disk.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench import figure

RUNS = 15
HELP_MS, INSTALLED_MB = 300, 450
MB = 1_000_000
LARGEST = 8


def install(folder: Path) -> Path:
    """An environment of its own with headrace[embedded], as the constraints have it; returns its folder."""
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [str(environment / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    wheels = folder / "wheels"
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, figure.ROOT], check=True
    )
    (wheel,) = wheels.glob("headrace-*.whl")
    subprocess.run([*pip, "--constraint", _constraints(folder), f"{wheel}[embedded]"], check=True)
    return environment


def _constraints(folder: Path) -> Path:
    """The constraints without their hashes: the wheel made here has none."""
    lines = (figure.ROOT / "constraints.txt").read_text().splitlines()
    plain = [line.rstrip(" \\") for line in lines if line and not line.lstrip().startswith("--hash")]
    path = folder / "constraints.txt"
    path.write_text("\n".join(plain) + "\n")
    return path


def help_ms(program: Path, runs: int = RUNS) -> list[float]:
    """Wall time of each `headrace --help`, in ms; the first, which warms the file cache, is not among them."""
    took = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        subprocess.run([program, "--help"], check=True, capture_output=True)
        took.append((time.perf_counter() - began) * 1000)
    return took[1:]


def site_packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python3*/site-packages")
    return found


def installed_mb(environment: Path) -> dict[str, float]:
    """MB by top-level folder of site-packages, the largest first; pip itself, which every environment has, left out."""
    sizes: Counter[str] = Counter()
    root = site_packages(environment)
    for path in root.rglob("*"):
        top = path.relative_to(root).parts[0]
        if path.is_file() and not path.is_symlink() and not top.startswith(("pip", "setuptools")):
            sizes[top] += path.stat().st_size
    return {name: round(size / MB, 1) for name, size in sizes.most_common()}


def main() -> None:
    parser = argparse.ArgumentParser(description="measures `headrace --help` and the size of headrace[embedded]")
    parser.add_argument("--no-figure", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headrace-install-") as folder:
        environment = install(Path(folder))
        took = help_ms(environment / "bin" / "headrace")
        sizes = installed_mb(environment)
    value = {"help_ms": round(statistics.median(took)), "installed_mb": round(sum(sizes.values()))}
    print(value)
    if not arguments.no_figure:
        path = figure.write(
            "install",
            value=value,
            target={"help_ms": HELP_MS, "installed_mb": INSTALLED_MB},
            command="python -m bench.startup",
            data_hash=figure.sha256(figure.ROOT / "pyproject.toml", figure.ROOT / "constraints.txt"),
            help_ms_min_max=[round(min(took)), round(max(took))],
            largest_mb=dict(list(sizes.items())[:LARGEST]),
        )
        print(path)


if __name__ == "__main__":
    main()
