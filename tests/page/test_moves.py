"""The page moves by itself, is quick to load, and tells of what its buttons did."""

from __future__ import annotations

import re

import pytest

from bench.page.browser import Demo
from bench.page.seen import attack, first_number, moved, weight
from tests.page.conftest import Opens

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MOST_BYTES = 150_000


def test_its_numbers_move_without_a_reload(opens: Opens) -> None:
    page = opens()
    first_number(page)
    moved(page)
    moved(page)


def test_an_attack_started_by_its_button_appears_with_its_reasons(opens: Opens) -> None:
    page = opens()
    row = attack(page).row
    assert "block" in row
    assert "cards were tried from this device" in row
    page.locator("#attack", has_text=re.compile(r"[1-9]\d* blocked")).wait_for()


def test_after_a_worker_was_killed_by_its_button_the_counts_are_right(opens: Opens) -> None:
    page = opens()
    page.get_by_role("button", name="Kill a worker").click()
    page.locator("#killed", has_text="was killed (SIGKILL)").wait_for()
    page.locator("#killed", has_text=re.compile(r"at work after \d")).wait_for()
    page.locator("#demo", has_text="It adds up").wait_for()
    assert page.locator("#demo dt:text('decided twice') + dd").text_content() == "0"
    moved(page)


def test_another_site_cannot_press_the_buttons(opens: Opens, running: Demo) -> None:
    """Another origin of this very machine, the nearest that a site could come."""
    page = opens("/docs")
    kills = page.request.get("/").text().count("Kills:")
    answer = page.request.post("/demo/kill", headers={"origin": "http://localhost:1", "sec-fetch-site": "cross-site"})
    assert (answer.status, answer.json()["detail"]) == (403, "it comes from another site (http://localhost:1)")
    assert page.request.post("/demo/kill", headers={"host": "shop.example"}).status == 403
    assert page.request.get(running.url).text().count("Kills:") == kills


def test_all_of_it_is_light(opens: Opens) -> None:
    loaded = weight(opens(None))
    assert len(loaded.plain) >= 8
    assert sum(loaded.plain.values()) <= MOST_BYTES, loaded
    assert sum(loaded.sent.values()) <= MOST_BYTES / 2, loaded
