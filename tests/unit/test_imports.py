"""Imports run one way: schemas <- features <- models <- training; streams on top, and serving on streams; simulation
and places of files need only schemas, the archive's layout those two.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAY_IMPORT = {
    "schemas": set(),
    "features": {"schemas"},
    "storage": {"schemas"},
    "models": {"schemas", "features", "storage"},
    "archive": {"schemas", "storage"},
    "training": {"schemas", "features", "models", "storage", "archive"},
    "simulation": {"schemas"},
    "streams": {"schemas", "features", "models", "storage", "archive", "training", "simulation", "serving"},
    "serving": {"schemas", "features", "models", "storage", "streams"},
}
# Doors and wiring know every part; nothing else in streams/ reaches training, serving or the simulation.
ONLY_DOORS = {"training", "simulation", "serving"}


def imported(path: Path) -> set[str]:
    """Top-level names of every module that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names & MAY_IMPORT.keys()


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_run_one_way(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        beyond = imported(path) - MAY_IMPORT[folder] - {folder}
        assert not beyond, f"{path.relative_to(ROOT)} imports {sorted(beyond)}"


def test_only_the_doors_of_streams_know_training_serving_and_the_simulation() -> None:
    for path in (ROOT / "streams").rglob("*.py"):
        door = path.parent.name == "cli" or path.name == "wiring.py"
        assert door or not imported(path) & ONLY_DOORS, (
            f"{path.relative_to(ROOT)} imports {imported(path) & ONLY_DOORS}"
        )


@pytest.mark.parametrize("folder", ["schemas", "features", "models", "storage", "archive"])
def test_the_pure_folders_know_neither_kafka_nor_redis(folder: str) -> None:
    outside = {"faust", "aiokafka", "redis", "hiredis", "asyncio"}
    for path in (ROOT / folder).rglob("*.py"):
        text = ast.parse(path.read_text())
        names = {n.name.split(".")[0] for node in ast.walk(text) if isinstance(node, ast.Import) for n in node.names}
        names |= {
            node.module.split(".")[0] for node in ast.walk(text) if isinstance(node, ast.ImportFrom) and node.module
        }
        assert not names & outside, f"{path.relative_to(ROOT)} imports {sorted(names & outside)}"
