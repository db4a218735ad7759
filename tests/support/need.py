"""What a suite needs of the machine: it is skipped with the reason where that is absent, and fails where it is
required.

`HEADRACE_REQUIRE=java,node,promtool,go,chromium` names what must be there, as `.ci/run` does: a suite that skips in CI
checks nothing. `torch` is a package and not a program: `make test-train` installs and requires it, CI's quick path does
not.
"""

import os
import shutil
from importlib.util import find_spec
from typing import NoReturn

import pytest

PROGRAMS = {"java": ("java",), "node": ("node",), "promtool": ("promtool", "prometheus"), "go": ("go",)}
BROWSER = "chromium"  # has another name on each system: bench/page/browser.py looks for it
PACKAGES = {"torch": "training a network needs torch (make test-train installs it)"}
REQUIRE = "HEADRACE_REQUIRE"


def required() -> set[str]:
    """The tools that HEADRACE_REQUIRE names; a name that no suite knows is an error, for it would require nothing."""
    names = {name.strip() for name in os.environ.get(REQUIRE, "").split(",")} - {""}
    known = [*PROGRAMS, BROWSER, *PACKAGES]
    if unknown := sorted(names - set(known)):
        raise ValueError(f"{REQUIRE} names {', '.join(unknown)}: want some of {', '.join(known)}")
    return names


def absent(tool: str, reason: str) -> NoReturn:
    """Skips the test for want of `tool`, or fails it where the tool is required."""
    if tool in required():
        pytest.fail(f"{reason}, and {REQUIRE} names {tool}", pytrace=False)
    pytest.skip(f"{reason} (required only where {REQUIRE} names {tool})")


def need(tool: str) -> None:
    """To be called by a fixture or test that runs programs of `tool`."""
    for program in PROGRAMS[tool]:
        if shutil.which(program) is None:
            absent(tool, f"{program} is not on the PATH")


def need_package(package: str) -> None:
    """To be called before a module is imported that imports `package`; outside of tests it skips the whole file."""
    if find_spec(package) is not None:
        return
    if package in required():
        pytest.fail(f"{PACKAGES[package]}, and {REQUIRE} names {package}", pytrace=False)
    pytest.skip(f"{PACKAGES[package]} (required only where {REQUIRE} names {package})", allow_module_level=True)
