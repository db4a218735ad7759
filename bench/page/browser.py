"""A running demo, and a real Chromium that looks at its page.

The browser is the system's: Playwright's own is 150 MB that a package index does not have. The price: another machine
may have another version, and a figure says which.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
NAMED: Final = "HEADRACE_CHROMIUM"
PACKAGES: Final = ("playwright", "axe_playwright_python", "schemathesis", "PIL")
PAGE: Final = re.compile(r"^page +(http://\S+)")
DESK: Final = {"viewport": {"width": 1280, "height": 900}}
PHONE: Final = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
START_S: Final = 60.0


class AbsentError(Exception):
    """What a browser needs is not here; the message names it and how to get it."""


def chromium() -> str:
    """The program. Raises AbsentError."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise AbsentError(f"no package {', '.join(missing)}: `make test-page` installs group `page` of pyproject.toml")
    named = os.environ.get(NAMED)
    found = next(filter(None, map(shutil.which, [named] if named else NAMES)), None)
    if found is None:
        where = f"{NAMED} is {named!r}, which is no program" if named else f"none of {', '.join(NAMES)} is on the PATH"
        raise AbsentError(
            f"no Chromium: {where}. Install one (Debian: apt-get install chromium), or name it by {NAMED}"
        )
    return found


@contextmanager
def browser() -> Iterator[Any]:
    """Playwright's browser. Raises AbsentError."""
    program = chromium()
    with import_module("playwright.sync_api").sync_playwright() as playwright:
        inside = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has no sandbox for root
        launched = playwright.chromium.launch(executable_path=program, args=inside)
        yield launched
        launched.close()


@dataclass(frozen=True, slots=True)
class Demo:
    """A running `headrace demo`; `began_s` is when its process was started, by time.monotonic."""

    url: str
    process: subprocess.Popen[str]
    began_s: float


@contextmanager
def demo(seconds: float = 900.0) -> Iterator[Demo]:
    """Without settings of the machine's user. Ends with the context."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    argv = [sys.executable, "-P", "-m", "streams.cli", "demo", "--seconds", f"{seconds:g}"]
    began_s = time.monotonic()
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if told := PAGE.match(line):
                    break
            else:
                raise RuntimeError("the demo ended before it named its page")
            drained = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)  # else it would block
            yield Demo(told[1], process, began_s)
            drained.kill()
            drained.wait()
        finally:
            process.terminate()
            process.wait(60)


def opened(page: Any, url: str) -> float:
    """Loads the page as soon as it is served; seconds of time.monotonic when it was there."""
    errors = import_module("playwright.sync_api").Error
    until_s = time.monotonic() + START_S
    while True:
        try:
            page.goto(url)
            return time.monotonic()
        except errors:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.05)


def grave(page: Any) -> list[str]:
    """What axe finds in the page as it stands, serious or critical: rule, how grave, and the first place."""
    axe = import_module("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {one['nodes'][0]['html']}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
