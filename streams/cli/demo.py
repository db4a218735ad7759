"""`headrace demo`: a live shop, scored as one watches.

Everything is real but the customers: broker, store and worker are those of `headrace up`, and the shop of
`simulation/` sends what a shop would, at the pace of the clock. It begins with the last two minutes before the start,
so that there is something to see at once. The board is filled from the topics, as any reader could fill it. The page
has two buttons, which reach us over a socket in our own folder (streams/live/wire.py).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from simulation.shop import Shop
    from streams.data.cluster import Cluster
    from streams.data.record import Record
    from streams.data.sender import Sender
    from streams.embedded.stack import Stack
    from streams.embedded.supervisor import Service
    from streams.live.board import Alert, Board
    from streams.live.view import View

STARTED_S = time.monotonic()  # the interpreter was up 0.1 s before
HISTORY_MS = 120_000
IN_A_PIPE_S, ON_A_TERMINAL_S = 60.0, 3600.0  # the embedded broker's memory is the limit: 150 MB an hour
SHOW_S = 0.125
SETTLE_S = 10.0
GARBAGE = 0.002
PATIENCE_S = 60.0  # no decision by then: something is wrong
FAILED_STARTS = 3


@click.command("demo")
@click.option("--seconds", type=click.FloatRange(min=1), help="Default: 60 in a pipe, an hour on a terminal.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of the shop; another seed, other people.")
def command(seconds: float | None, seed: int) -> None:
    """A live shop, scored as you watch; nothing else is needed.

    Customers look around and buy, copies and nonsense arrive as they do in life, and now and then somebody tests stolen
    cards. Broker, store and worker run on this machine and are gone afterwards.
    """
    from streams.embedded.ending import ended_by_signals, ignore_signals
    from streams.embedded.processes import Children
    from streams.embedded.stack import Ports, running

    notes = _Notes()
    limit_s = seconds or (ON_A_TERMINAL_S if sys.stdout.isatty() else IN_A_PIPE_S)
    start_ms = round((time.time() - (time.monotonic() - STARTED_S)) * 1000)
    with ended_by_signals(), Children() as children, running(children, 1, Ports(), notes, buttons=True) as stack:
        from streams.live.board import Board  # from here on the worker starts beside us
        from streams.live.view import summary

        board = Board()
        asyncio.run(_Demo(stack, board, _view(stack, seed, notes), seed, limit_s).run())
        ignore_signals()
    first_s = None if board.first_decision_ms is None else (board.first_decision_ms - start_ms) / 1000
    click.echo("\n".join(["", *summary(board, time.monotonic() - STARTED_S, first_s)]))
    click.echo("\nNothing of it is left on this machine.\nNext: `headrace up` starts the same for your own shop.")


class _Notes:
    """Where the supervisor's lines go: to the view, once there is one."""

    def __init__(self) -> None:
        self.view: View | None = None

    def __call__(self, line: str) -> None:
        self.view.say(line) if self.view is not None else click.echo(line, err=True)


def _view(stack: Stack, seed: int, notes: _Notes) -> View:
    from rich.console import Console

    from streams.live.view import WAITING, Picture, Plain

    addresses = [line for line in stack.table() if line]
    view: View
    if sys.stdout.isatty():
        view = Picture(Console(), f"Headrace · a live shop · seed {seed}", addresses)
    else:
        view = Plain(sys.stdout)
        for line in (f"a live shop, seed {seed}", *addresses, WAITING):
            view.say(line)
    notes.view = view
    return view


class _Demo:
    """Three things at once: the shop sends, the board reads, the view shows; and the page's buttons are answered."""

    def __init__(self, stack: Stack, board: Board, view: View, seed: int, limit_s: float) -> None:
        from streams.live.drill import Drills

        self._stack, self._board, self._view, self._seed, self._limit_s = stack, board, view, seed, limit_s
        self._alerts: list[Alert] = []
        self._shop: Shop | None = None
        self._drills = Drills(board, self._strike, self._workers)

    async def run(self) -> None:
        """Until the time is up or a signal comes; then until what was sent is decided."""
        from streams.data.cluster import Cluster
        from streams.data.sender import Sender
        from streams.embedded.ending import stop_on_signals
        from streams.live.wire import answering

        stop = asyncio.Event()
        stop_on_signals(stop)
        cluster = Cluster(self._stack.services.settings.kafka)
        reading = asyncio.create_task(self._read(cluster))
        drills, asked_at = self._drills, self._stack.asked_at
        can = {"counts": drills.told, "attack": drills.attack, "kill": drills.kill}
        try:
            async with cluster.producer() as producer, answering(asked_at, can) if asked_at else nullcontext():
                sender = Sender(producer)
                sending = asyncio.create_task(self._send(sender))
                try:
                    await self._show(stop, sending, reading)
                finally:
                    await _cancelled(sending)
                await sender.flush()
                await self._settle(reading)
        finally:
            await _cancelled(reading)
            self._view.close()

    async def _show(self, stop: asyncio.Event, sending: asyncio.Task[None], reading: asyncio.Task[None]) -> None:
        while not stop.is_set() and (at_s := time.monotonic() - STARTED_S) < self._limit_s:
            self._stack.look()
            self._drills.look()
            for task in (sending, reading):
                if task.done():
                    task.result()  # neither ends by itself but by an error
            self._draw(at_s)
            self._check_start(at_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), SHOW_S)

    async def _settle(self, reading: asyncio.Task[None]) -> None:
        """What was sent last is still on its way."""
        until_s = time.monotonic() + SETTLE_S
        began = self._board.first_decision_ms is not None
        while began and not self._board.settled and not reading.done() and time.monotonic() < until_s:
            self._draw(time.monotonic() - STARTED_S)
            await asyncio.sleep(SHOW_S)

    def _draw(self, at_s: float) -> None:
        alerts, self._alerts = self._alerts, []
        self._view.show(self._board, alerts, at_s)

    def _check_start(self, at_s: float) -> None:
        """A worker that cannot start says why; one that is slow gets PATIENCE_S."""
        from streams.embedded.processes import StartError

        workers = self._workers()
        if self._board.first_decision_ms is None and (
            not workers or workers[0].failures >= FAILED_STARTS or at_s > PATIENCE_S
        ):
            said = workers[0].child.last_words() if workers else ""
            raise StartError(f"no decision within {at_s:.0f} s; the worker's last words:\n{said}")

    def _workers(self) -> list[Service]:
        return [service for service in self._stack.supervisor.services if service.name.startswith("worker")]

    def _strike(self) -> tuple[str, list[str]]:
        """An attack from now on; nobody asks before the shop is open."""
        assert self._shop is not None
        return self._shop.strike(round(time.time() * 1000))

    async def _send(self, sender: Sender) -> None:
        """The shop's events at their time, which is now; those of the last minutes at once."""
        from streams.data.replay import Pace, Replay

        now_ms, pace = round(time.time() * 1000), Pace(1.0)
        pace.ceiling_ms(now_ms)  # event time and the clock agree from here on; what is older is due
        await Replay(sender, pace, _NoMeter()).run(self._records(now_ms - HISTORY_MS))

    def _records(self, start_ms: int) -> Iterator[Record]:
        from simulation.disturb import Disturbance, disturb
        from simulation.shop import Plan, Shop
        from streams.data.record import Record

        network = Disturbance(copy_mean_ms=5_000, late_mean_ms=10_000, shuffled_ms=1_000, garbage=GARBAGE)
        self._shop = Shop(Plan.live(self._seed), start_ms)
        for event in disturb(self._shop.events(), network, self._seed):
            yield Record(event.topic, event.key, event.value, (), event.send_ms)
            # The next one is asked for: this one goes out now. One that still waits when we end was never sent.
            order_id = None if event.copy else event.order_id
            self._board.sends(event.topic, order_id, event.truth.value, event.send_ms)

    async def _read(self, cluster: Cluster) -> None:
        from schemas.topics import INPUTS, dead_letters_of
        from streams.data.consume import Part, follow

        topics = ["fraud", "anomalies", "applied", *map(dead_letters_of, INPUTS)]
        embedded = self._stack.services.broker is not None  # a real broker may hold earlier runs
        async for records in follow(cluster, Part(topics, "start" if embedded else "end")):
            self._alerts += self._board.reads(records)


class _NoMeter:
    """The board counts already."""

    def moved(self, at_ms: int, sent: int) -> None:
        """Nothing to show."""


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Ends a task; an error that it had is for whoever awaited it before."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
