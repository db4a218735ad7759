"""The live page, measured in a real Chromium: how soon its numbers move, an attack on it, its weight, what axe finds.

    python -m bench.page.measure [--runs 5] [--no-figure]

Each run is a demo of its own, started as `make demo` starts it once everything is installed; the browser is open
already, as a person's is. The clock runs from the start of the demo's process until the page's numbers have moved by
events that came, and from the click on the button until one of the attack's orders is in the list with its reason.
In the last run axe looks at the page in light, dark and on a phone, with a decision open, and at the API's
description; and schemathesis asks the API what it describes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from typing import Any, Final

from bench import figure
from bench.page.browser import DESK, PHONE, browser, demo, grave, opened
from bench.page.described import asked
from bench.page.seen import attack, first_number, moved, weight

FIRST_S, ATTACK_S, MOST_BYTES = 15.0, 30.0, 150_000
LOOKS: Final[dict[str, dict[str, Any]]] = {"light": DESK, "dark": DESK | {"color_scheme": "dark"}, "phone": PHONE}


def timed(chrome: Any, *, last: bool) -> dict[str, Any]:
    """One demo from its start; what the page weighs and lacks only in the last."""
    with demo() as running:
        page = chrome.new_context(base_url=running.url, **DESK).new_page()
        opened(page, running.url)
        first_number(page)
        first_s = time.monotonic() - running.began_s
        told: dict[str, Any] = {"first_s": first_s, "attack_s": attack(page).seconds}
        if last:
            new = chrome.new_context(base_url=running.url, **DESK).new_page()
            weighed = weight(new)
            told |= {"bytes": sum(weighed.plain.values()), "bytes_sent": sum(weighed.sent.values())}
            told |= {"axe": found(chrome, running.url)}
            described = asked(running.url)
            told |= {"operations": described.operations, "requests": described.requests}
            told |= {"failures": described.failures}
        page.context.close()
        return told


def found(chrome: Any, url: str) -> list[str]:
    """What axe finds, serious or critical, in every look."""
    graves = list[str]()
    for how in LOOKS.values():
        page = chrome.new_context(base_url=url, **how).new_page()
        page.goto("/docs")
        graves += grave(page)
        page.goto("/")
        moved(page)
        page.locator("#decisions button").first.click()
        page.locator("#why h2").wait_for()
        graves += grave(page)
        page.context.close()
    return graves


def main() -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-figure", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with browser() as chrome:
        runs = []
        for number in range(options.runs):
            runs.append(timed(chrome, last=number == options.runs - 1))
            print({name: value for name, value in runs[-1].items() if name != "axe"}, flush=True)
        version = chrome.version
    last = runs[-1]
    value = {
        "first_number_s": summed([one["first_s"] for one in runs]),
        "attack_seen_s": summed([one["attack_s"] for one in runs]),
        "bytes": last["bytes"],
        "bytes_sent": last["bytes_sent"],
        "axe_serious_or_critical": len(last["axe"]),
        "described": {name: last[name] for name in ("operations", "requests")} | {"failed": len(last["failures"])},
    }
    holds = (
        value["first_number_s"]["max"] <= FIRST_S and value["attack_seen_s"]["max"] <= ATTACK_S
        and last["bytes"] <= MOST_BYTES and not last["axe"] and not last["failures"]
    )  # fmt: skip
    print(value, last["axe"], last["failures"])
    if not options.no_figure:
        figure.write(
            "page",
            value=value,
            target={"first_number_s": FIRST_S, "attack_seen_s": ATTACK_S, "bytes": MOST_BYTES,
                    "axe_serious_or_critical": 0, "described": {"failed": 0}},
            command="python -m bench.page.measure",
            data_hash=figure.sha256(*sorted((figure.ROOT / "serving" / "static").rglob("*.*s"))),
            runs=options.runs,
            browser=f"Chromium {version}",
            load_before=round(load, 2),
            holds=holds,
        )  # fmt: skip
    return 0 if holds else 1


def summed(seconds: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(seconds), 1), "max": round(max(seconds), 1)}


if __name__ == "__main__":
    sys.exit(main())
