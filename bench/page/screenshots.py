"""Pictures of the page for the docs, out of a running demo: `make screenshots`.

    python -m bench.page.screenshots [--out docs/images]

A demo is started, an attack is started on its page, a decision is opened, a worker is killed, and each look is taken
as a person would have it. A PNG of 128 colours is a third of what the browser writes, and no worse to read. The
price: no two runs give the same picture.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from bench import figure
from bench.page.browser import DESK, PHONE, browser, demo, opened
from bench.page.seen import attack, first_number

IMAGES: Final = figure.ROOT / "docs" / "images"
MOST_BYTES: Final = 150_000
COLOURS: Final = 128
STREAM_MS: Final = 25_000  # curves need some of the stream
ATTACK_MS: Final = 6_000  # until all of an attack is decided


def explained(page: Any) -> None:
    """A blocked order, and why."""
    page.locator("#stopped button").first.click()
    page.locator("#why", has_text="What weighed most").wait_for()
    page.evaluate("document.getElementById('list').scrollIntoView()")


def killed(page: Any) -> None:
    """A worker is gone and another one at work."""
    page.get_by_role("button", name="Kill a worker").click()
    page.locator("#killed", has_text=re.compile(r"at work after \d")).wait_for()
    page.locator("#demo", has_text="It adds up").wait_for()


def take(page: Any, path: Path) -> None:
    """What is on the screen."""
    images, taken = import_module("PIL.Image"), io.BytesIO()
    images.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS, dither=0).save(
        taken, "PNG", optimize=True
    )
    if len(taken.getvalue()) > MOST_BYTES:
        raise ValueError(f"{path.name} takes {len(taken.getvalue()):,} bytes, {MOST_BYTES:,} at most")
    path.write_bytes(taken.getvalue())
    print(f"{path} {len(taken.getvalue()):,} bytes")


def main() -> int:
    """Takes them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=IMAGES)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with browser() as chrome, demo() as running:

        def page(how: dict[str, Any]) -> Any:
            made = chrome.new_context(base_url=running.url, **how).new_page()
            opened(made, running.url)
            first_number(made)
            return made

        light = page(DESK)
        light.wait_for_timeout(STREAM_MS)
        take(light, out / "page-light.png")
        attack(light)
        light.wait_for_timeout(ATTACK_MS)
        take(light, out / "page-attack.png")
        explained(light)
        take(light, out / "page-explained.png")
        dark = page(DESK | {"color_scheme": "dark"})
        killed(dark)
        take(dark, out / "page-dark.png")
        take(page(PHONE), out / "page-phone.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
