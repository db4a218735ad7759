"""What a person sees of the page, timed: the first number that moves, an attack with its reasons; and its weight."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any, Final

WITHIN_MS: Final = 60_000  # what takes seconds on a machine that does nothing else
POLL_MS: Final = 50
FLOWS: Final = "() => Number(document.querySelector('#tiles dd').textContent) > 0"
LIVE: Final = "() => document.getElementById('state').textContent === 'live'"
MOVED: Final = "was => document.getElementById('tiles').textContent !== was"


@dataclass(frozen=True, slots=True)
class Attack:
    """One that was started by its button; `row` is what the list says of one of its orders that was blocked."""

    seconds: float  # from the click until the row was there
    row: str


def first_number(page: Any) -> None:
    """Waits until events come, and the numbers have moved once more after that."""
    page.wait_for_function(FLOWS, timeout=WITHIN_MS, polling=POLL_MS)
    moved(page)


def moved(page: Any) -> None:
    """Waits until a number changes."""
    page.wait_for_function(LIVE, timeout=WITHIN_MS)
    page.wait_for_function(MOVED, arg=page.text_content("#tiles"), timeout=WITHIN_MS, polling=POLL_MS)


def attack(page: Any) -> Attack:
    """Clicks, and waits for one of the attack's orders in the list of what was stopped."""
    page.get_by_label("only review and block").check()
    clicked_s = time.monotonic()
    page.get_by_role("button", name="Start an attack").click()
    link = page.locator("#attack a")
    link.wait_for(timeout=WITHIN_MS)
    account = re.search(r"user_id=([\w-]+)", link.get_attribute("href"))
    assert account is not None
    while not (blocked := _blocked(page, account[1])):
        if time.monotonic() - clicked_s > WITHIN_MS / 1000:
            raise TimeoutError(f"no order of {account[1]} was blocked")
        page.wait_for_timeout(POLL_MS)
    rows = page.locator("#stopped tr").filter(has_text=re.compile("|".join(blocked)))
    rows.first.wait_for(timeout=WITHIN_MS)
    return Attack(time.monotonic() - clicked_s, rows.first.text_content())


def _blocked(page: Any, account: str) -> list[str]:
    found = page.request.get(f"/v1/decisions?limit=200&action=block&user_id={account}").json()["items"]
    return [one["order_id"] for one in found]


@dataclass(frozen=True, slots=True)
class Weight:
    """Bytes by address: as they are, and as they went over the wire with their headers."""

    plain: dict[str, int]
    sent: dict[str, int]


def weight(page: Any) -> Weight:
    """Of all that it loads until a decision is open, but for its stream of news. `page` has loaded nothing before."""
    responses = list[Any]()

    def came(response: Any) -> None:
        responses.append(response)

    page.on("response", came)
    page.goto("/")
    moved(page)
    page.locator("#decisions button").first.click()
    page.locator("#why h2").wait_for(timeout=WITHIN_MS)
    page.remove_listener("response", came)
    loaded = [response for response in responses if not response.url.endswith("/page/live")]
    sizes = {response.url: response.request.sizes() for response in loaded}
    return Weight(
        {response.url: len(response.body()) for response in loaded},
        {url: size["responseBodySize"] + size["responseHeadersSize"] for url, size in sizes.items()},
    )
