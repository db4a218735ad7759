"""Whoever comes can use it: by keyboard, by a reader's ear, in the dark, on a phone."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bench.page.browser import PHONE, grave
from bench.page.seen import moved
from tests.page.conftest import Opens

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FOCUSED = "document.activeElement"
MOST_TABS = 40
NARROWEST = 320  # CSS pixels: WCAG 2.2's reflow


def tab_to(page: Any, what: str) -> None:
    """Tab by tab until what has the focus matches the selector."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate(f"{FOCUSED}.matches({what!r})"):
            return
    raise AssertionError(f"nothing of {what} within {MOST_TABS} tabs")


def test_a_decision_opens_by_keyboard_alone_and_keeps_its_place(opens: Opens) -> None:
    page = opens()
    page.locator("#decisions button").nth(1).wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate(f"{FOCUSED}.textContent") == "To the decisions"
    page.keyboard.press("Enter")
    tab_to(page, "#decisions button")
    page.keyboard.press("Tab")
    chosen = page.evaluate(f"{FOCUSED}.id")
    order = page.evaluate(f"{FOCUSED}.textContent")
    page.keyboard.press("Enter")
    page.locator("#why h2", has_text=order).wait_for()
    assert "Score" in page.text_content("#why")
    page.locator("#why", has_text="What weighed most").wait_for()
    moved(page)  # the rest goes on, and the list waits
    assert page.evaluate(f"{FOCUSED}.id") == chosen
    assert page.locator("#held").is_visible()
    while page.evaluate(f"{FOCUSED}.closest('#list') !== null"):
        page.keyboard.press("Tab")
    page.wait_for_function("id => !document.getElementById(id)", arg=chosen)  # and goes on as well


def test_it_can_be_paused_and_goes_on_where_the_stream_is(opens: Opens) -> None:
    page = opens()
    moved(page)
    page.get_by_role("button", name="Pause").click()
    was = page.text_content("#tiles") + page.text_content("#decisions")
    page.wait_for_timeout(3_000)
    assert page.text_content("#tiles") + page.text_content("#decisions") == was
    assert page.text_content("#state") == "paused"
    page.get_by_role("button", name="Pause").click()
    moved(page)


def test_it_follows_the_systems_light_or_dark(opens: Opens) -> None:
    def ground(scheme: str) -> int:
        page = opens(color_scheme=scheme)
        told = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", told)))

    assert ground("light") > 600 > 200 > ground("dark")


@pytest.mark.parametrize("width", [NARROWEST, 390, 768])
def test_nothing_is_wider_than_the_screen(opens: Opens, width: int) -> None:
    page = opens(**(PHONE | {"viewport": {"width": width, "height": 800}}))
    moved(page)
    page.locator("#decisions button").first.tap()
    page.locator("#why h2").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_the_explanation_comes_into_view_and_leads_back(opens: Opens) -> None:
    page = opens(**PHONE)
    moved(page)
    page.locator("#decisions button").first.tap()
    page.locator("#why h2").wait_for()
    page.wait_for_function("() => document.getElementById('why').getBoundingClientRect().top < innerHeight / 2")
    page.get_by_role("link", name="Back to the decisions").tap()
    page.wait_for_function("() => document.getElementById('h-decisions').getBoundingClientRect().top >= 0")


@pytest.mark.parametrize("how", [{}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"])
def test_axe_finds_nothing_serious(opens: Opens, how: dict[str, Any]) -> None:
    page = opens(**how)
    moved(page)
    page.locator("#decisions button").first.click()
    page.locator("#why h2").wait_for()
    assert grave(page) == []


def test_axe_finds_nothing_serious_in_the_apis_description(opens: Opens) -> None:
    assert grave(opens("/docs")) == []


def test_axe_would_find_a_picture_without_words(opens: Opens) -> None:
    page = opens("/docs")
    page.evaluate("document.body.append(new Image())")
    assert any(one.startswith("image-alt") for one in grave(page))
