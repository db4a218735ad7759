"""What a log line is: text for people, an object for machines, with the same in both."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import orjson
import pytest

from streams.logs import Form, configure
from streams.protocol.ports import Tp

log = logging.getLogger("headrace")


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """The root logger is the process's own."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def said(form: Form, capsys: pytest.CaptureFixture[str]) -> list[str]:
    configure("worker-3", form)
    log.warning(
        "waiting for the %s", "store", extra={"tp": Tp("orders", 2, "id"), "wait_s": 0.5, "why": 'it said "no"'}
    )
    try:
        raise ValueError("broken\nin two lines")
    except ValueError:
        log.critical("the worker broke", exc_info=True)
    return capsys.readouterr().err.splitlines()


def test_a_line_for_people_has_the_fields_behind_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    first = said("console", capsys)[0]
    assert re.fullmatch(
        r'\d\d:\d\d:\d\d worker-3 WARNING waiting for the store tp=orders/2 wait_s=0\.5 why=it said "no"', first
    )


def test_a_line_for_machines_is_one_object_and_a_traceback_is_a_field_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = [orjson.loads(line) for line in said("json", capsys)]
    assert len(lines) == 2
    waiting, broke = lines
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", waiting.pop("time"))
    assert waiting == {
        "level": "warning",
        "process": "worker-3",
        "message": "waiting for the store",
        "tp": "orders/2",
        "wait_s": 0.5,
        "why": 'it said "no"',
    }
    assert broke["message"] == "the worker broke"
    assert broke["error"].endswith("ValueError: broken\nin two lines")


def test_a_field_does_not_take_the_place_of_what_every_line_has(capsys: pytest.CaptureFixture[str]) -> None:
    configure("worker", "json")
    log.info("model", extra={"level": "high"})
    (line,) = capsys.readouterr().err.splitlines()
    assert orjson.loads(line)["level"] == "info"
