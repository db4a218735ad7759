"""Rate-limited libraries: the first of a kind at once, the rest as a number."""

import logging

import pytest

from streams.transport.quiet import RateLimited, quieten


class Kept(logging.Logger):
    def __init__(self) -> None:
        super().__init__("root")
        self.lines: list[str] = []

    def handle(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def say(handler: RateLimited, text: str, *args: object) -> None:
    handler.emit(logging.LogRecord("aiokafka.conn", logging.ERROR, "f", 1, text, args, None))


def test_the_same_message_passes_once_a_period_and_counts_what_was_held_back() -> None:
    target, now = Kept(), [0.0]
    handler = RateLimited(target, 10.0, lambda: now[0])
    for node in range(5):
        say(handler, "node %s is away", node)
    now[0] = 11.0
    say(handler, "node %s is away", 9)
    assert target.lines == ["node 0 is away", "node 9 is away (and 4 more like it)"]


def test_another_message_is_another_kind() -> None:
    target = Kept()
    handler = RateLimited(target, 10.0, lambda: 0.0)
    say(handler, "one")
    say(handler, "two")
    assert target.lines == ["one", "two"]


def test_what_is_remembered_of_messages_is_bounded() -> None:
    handler = RateLimited(Kept(), 10.0, lambda: 0.0)
    for i in range(10_000):
        say(handler, f"message {i}")
    assert len(handler._kinds) <= 256


def test_quietened_loggers_pass_errors_on_to_the_root(caplog: pytest.LogCaptureFixture) -> None:
    quieten(["some.library"])
    logging.getLogger("some.library.part").warning("chatter")
    logging.getLogger("some.library.part").error("trouble")
    assert [record.getMessage() for record in caplog.records] == ["trouble"]
