"""What a person may do to a running demo, start an attack or kill a worker, and what came of it.

The counts are the board's, so they are what any reader of the topics would find. A worker is killed as hard as it
goes (SIGKILL) and is back at work once another process in its place has taken events. The price: that is seen at a
look, eight times a second.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from streams.embedded.supervisor import Service
from streams.live.board import Board
from streams.live.wire import RefusedError, Told

Attack = tuple[str, Sequence[str]]  # its account, its orders


@dataclass(slots=True)
class Kill:
    """One killed worker. `taken` is what the workers had taken when another process was in its place."""

    pid: int
    at_s: float
    taken: int | None = None
    back_s: float | None = None


class Drills:
    """`attack` starts one and names its account and its orders; `workers` are those that could be killed."""

    def __init__(
        self,
        board: Board,
        attack: Callable[[], Attack],
        workers: Callable[[], Sequence[Service]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board, self._attack, self._workers, self._clock = board, attack, workers, clock
        self._attacks: list[Attack] = []
        self._kills: list[Kill] = []

    def attack(self) -> Told:
        """Stolen card numbers are tried, at once. Refused before the first decision: nobody would see it."""
        if self._board.first_decision_ms is None:
            raise RefusedError("the worker is still starting: wait for the first decision")
        self._attacks.append(self._attack())
        return self.told()

    def kill(self) -> Told:
        """SIGKILL to a worker that runs; whoever keeps the workers running will notice."""
        running = [service for service in self._workers() if service.child.running]
        if not running or self._board.first_decision_ms is None:
            raise RefusedError("no worker is running: the one that was killed is being started again")
        pid = running[0].child.pid
        running[0].child.kill()
        self._kills.append(Kill(pid, self._clock()))
        return self.told()

    def look(self) -> None:
        """Notices that the last killed worker's place is filled and events are taken again. Called often."""
        kill = self._kills[-1] if self._kills else None
        if kill is None or kill.back_s is not None:
            return
        taken = self._board.consumed.total()
        if kill.taken is None:
            if any(service.child.running and service.child.pid != kill.pid for service in self._workers()):
                kill.taken = taken
        elif taken > kill.taken:
            kill.back_s = round(self._clock() - kill.at_s, 1)

    def told(self) -> Told:
        """What the page shows."""
        balance = self._board.balance()
        return {
            "balance": asdict(balance) | {"holds": balance.holds},
            "attacks": len(self._attacks),
            "attack": self._came_of(self._attacks[-1]) if self._attacks else None,
            "kills": len(self._kills),
            "kill": asdict(self._kills[-1]) if self._kills else None,
        }

    def _came_of(self, attack: Attack) -> Told:
        user_id, orders = attack
        actions = Counter(self._board.action_of(order) for order in orders)
        came = {action: actions[action] for action in ("allow", "review", "block")}
        return {"user_id": user_id, "orders": len(orders), **came}
