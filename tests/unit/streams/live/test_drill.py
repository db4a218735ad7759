"""What a person does to a running demo, and what came of it, as the page tells it."""

from __future__ import annotations

import signal
import sys

import pytest

from streams.embedded.processes import Child, Children
from streams.embedded.supervisor import Service, Supervisor
from streams.live.board import Board
from streams.live.drill import Drills
from streams.live.wire import RefusedError
from tests.unit.streams.live.test_board import board_with, decision, row

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
ATTACK = ("u-x", ["o1", "o2", "o3"])


def drills(board: Board, workers: list[Service], now: list[float]) -> Drills:
    return Drills(board, lambda: ATTACK, lambda: workers, lambda: now[0])


def shop_that_decides() -> Board:
    board = board_with("o0", *ATTACK[1])
    board.reads([row(0, 0), decision("o0")])
    return board


def test_an_attack_is_told_with_what_became_of_its_orders() -> None:
    board = shop_that_decides()
    one = drills(board, [], [0.0])
    assert one.told()["attack"] is None
    one.attack()
    board.reads([row(1, 3), decision("o1"), decision("o2", "block"), decision("o3", "block")])
    assert one.told()["attack"] == {"user_id": "u-x", "orders": 3, "allow": 1, "review": 0, "block": 2}
    assert one.told()["balance"]["holds"]


def test_before_the_first_decision_nothing_can_be_done() -> None:
    one = drills(board_with("o1"), [], [0.0])
    for do in (one.attack, one.kill):
        with pytest.raises(RefusedError):
            do()


def test_a_killed_worker_is_back_once_another_process_has_taken_events(children: Children) -> None:
    board, now = shop_that_decides(), [10.0]
    supervisor = Supervisor(lambda _: None, lambda: now[0])

    def start() -> Child:
        return children.start("worker-0", SLEEPS)

    worker = supervisor.add("worker 0", start)
    one, pid = drills(board, [worker], now), worker.child.pid
    assert one.kill()["kill"] == {"pid": pid, "at_s": 10.0, "taken": None, "back_s": None}
    assert worker.child.poll() == -signal.SIGKILL
    with pytest.raises(RefusedError, match="being started again"):
        one.kill()

    supervisor.look()
    now[0] = 12.0
    supervisor.look()
    one.look()
    assert worker.child.running
    assert one.told()["kill"]["back_s"] is None  # it runs, and has taken nothing yet
    board.reads([row(1, 3)])
    now[0] = 13.5
    one.look()
    assert one.told()["kill"]["back_s"] == 3.5
