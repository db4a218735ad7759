"""How the board is shown: a picture that moves on a terminal, a line now and then in a pipe, and a closing summary.

Both say the same things. The price of the plain one: of a burst of alerts it shows the first few a second and counts
the rest, else an attack would scroll everything else away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from schemas.timestamps import rfc3339
from streams.live.board import Alert, Board

ACTIONS = ("block", "review", "allow")
STYLES = {"block": "bold red", "review": "yellow", "allow": "green"}
LINE_EVERY_S = 5.0
ALERTS_A_SECOND = 3  # of the plain view
ROWS_BESIDE_ALERTS = 6  # lines of the frame that are not alerts: its edges, the counts, a blank one, a heading
PLAIN_WHY = 120  # columns for the reasons of an alert in a pipe
BESIDE_WHY = 60  # columns of the wide picture that are not reasons: frame, time, action, score, id, what is between
INDENT = " " * 10  # of the reasons in the narrow one, behind the times
FRAME = 4
WIDE = 120  # columns from which on an alert fits on one line; below, its reasons get one of their own
WAITING = "the worker is starting; what customers do meanwhile waits in the topics"


class View(Protocol):
    """A way to show the board."""

    def show(self, board: Board, alerts: Sequence[Alert], at_s: float) -> None:
        """Called several times a second, with the alerts since the last call; `at_s` since the start."""
        ...

    def say(self, line: str) -> None:
        """A change of state that a reader should know of."""
        ...

    def close(self) -> None: ...


class Plain:
    """Lines for a pipe or a log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._counts_due_s = LINE_EVERY_S
        self._second, self._shown, self._hidden = 0, 0, 0

    def show(self, board: Board, alerts: Sequence[Alert], at_s: float) -> None:
        rate = board.rate(at_s)
        if int(at_s) != self._second:
            self._second, self._shown = int(at_s), 0
        for alert in alerts:
            if self._shown < ALERTS_A_SECOND:
                self._shown += 1
                self.say(f"{at_s:5.1f} s  {_alert_line(alert)}")
            else:
                self._hidden += 1
        if at_s >= self._counts_due_s:
            self._counts_due_s += LINE_EVERY_S
            more = f"; {self._hidden:,} more alerts" if self._hidden else ""
            self._hidden = 0
            self.say(
                f"{at_s:5.1f} s  {counts(board, rate) if board.consumed or board.decided else _waiting(board)}{more}"
            )

    def say(self, line: str) -> None:
        print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to put back."""


class Picture:
    """The whole terminal, redrawn in place; the cursor comes back when it is closed."""

    def __init__(self, console: Console, title: str, addresses: Sequence[str]) -> None:
        self._console, self._title, self._addresses = console, title, addresses
        self._said: list[str] = []
        self._live = Live(console=console, auto_refresh=False, screen=True)
        self._live.start()

    def show(self, board: Board, alerts: Sequence[Alert], at_s: float) -> None:  # noqa: ARG002 - the board has them
        self._live.update(self._draw(board, at_s), refresh=True)

    def say(self, line: str) -> None:
        self._said = [*self._said, *line.splitlines()][-2:]

    def close(self) -> None:
        self._live.stop()

    def _draw(self, board: Board, at_s: float) -> RenderableType:
        rows = self._console.height - ROWS_BESIDE_ALERTS - len(self._addresses) - len(self._said)
        body: list[RenderableType] = [_counts_table(board, at_s), Text()]
        body.append(_alerts(board, rows, self._console.width) if board.alerts else Text(WAITING, style="dim"))
        about = Text("\n".join((*self._addresses, *self._said)), style="dim")
        return Group(
            Panel(Group(*body), title=self._title, subtitle=f"{at_s:.0f} s · Ctrl-C ends it", border_style="blue"),
            about,
        )


def counts(board: Board, rate: float) -> str:
    """The state of things in one line."""
    actions = ", ".join(f"{board.actions[action]:,} {action}" for action in ACTIONS)
    line = f"{board.consumed.total():,} events ({rate:,.0f}/s), {board.decided:,} orders decided: {actions}"
    latency = board.latency_ms()
    return f"{line}; p50 {latency[0]:.0f} ms, p99 {latency[1]:.0f} ms" if latency else line


def _waiting(board: Board) -> str:
    return f"{board.sent.total():,} events wait for the worker"


def summary(board: Board, seconds: float, first_decision_s: float | None) -> list[str]:
    """The closing words: does it add up, how quick was it, and what became of whom."""
    lines = [
        f"In {seconds:.0f} s {board.sent.total():,} events were sent and {board.consumed.total():,} consumed: "
        f"{board.decided:,} orders decided,",
        f"{board.duplicates:,} duplicates dropped, {board.dead.total():,} dead letters.",
    ]
    latency = board.latency_ms()
    if first_decision_s is not None:
        lines.append(f"The first decision came {first_decision_s:.1f} s after the start.")
    else:
        lines.append("No decision came: the worker was still starting. Give it longer (--seconds).")
    if latency is not None:
        lines.append(f"From order to decision: {latency[0]:.0f} ms, 99 % within {latency[1]:.0f} ms.")
    lines += _outcomes(board)
    if board.rules:
        lines += ["", "Rules that hit most:"]
        lines += [f"  {name:<24}{count:>8,}" for name, count in board.rules.most_common(6)]
    if board.anomalies:
        lines.append(f"Sessions: {', '.join(f'{kind} {count:,}' for kind, count in board.anomalies.most_common())}.")
    return lines


def _outcomes(board: Board) -> list[str]:
    """What became of whose orders: customers last."""
    if not board.outcomes:
        return []
    lines = ["", f"{'orders by who made them':<24}{'':>8}{'blocked':>9}{'reviewed':>10}{'allowed':>9}"]
    for truth in sorted({truth for truth, _ in board.outcomes}, key=lambda name: (name == "normal", name)):
        block, review, allow = (board.outcomes[truth, action] for action in ACTIONS)
        name, total = truth.replace("_", " "), block + review + allow
        lines.append(f"  {name:<22}{total:>8,}{block:>9,}{review:>10,}{allow:>9,}")
    return lines


def _alert_line(alert: Alert) -> str:
    score = "" if alert.score is None else f" {alert.score:.3f}"
    return f"{alert.what:<6}{score} {alert.subject}: {_why(alert.reasons, PLAIN_WHY)}"


def _why(reasons: Sequence[str], room: int) -> str:
    """The first reason, those that fit beside it into so many columns, and how many more there are."""
    shown = 1
    while shown < len(reasons) and len(_first(reasons, shown + 1)) <= room:
        shown += 1
    return _first(reasons, shown)


def _first(reasons: Sequence[str], shown: int) -> str:
    more = len(reasons) - shown
    return "; ".join(reasons[:shown]) + (f" (+{more} more)" if more > 0 else "")


def _counts_table(board: Board, at_s: float) -> Table:
    latency = board.latency_ms()
    cells = [
        ("events", f"{board.consumed.total():,}", ""),
        ("/s", f"{board.rate(at_s):,.0f}", ""),
        ("orders", f"{board.decided:,}", "bold"),
        *((f"{action}", f"{board.actions[action]:,}", STYLES[action]) for action in reversed(ACTIONS)),
        ("duplicates", f"{board.duplicates:,}", ""),
        ("dead letters", f"{board.dead.total():,}", ""),
        ("p50/p99 ms", f"{latency[0]:.0f}/{latency[1]:.0f}" if latency else "-", ""),
    ]
    table = Table(box=None, expand=True, header_style="dim", pad_edge=False, padding=(0, 1, 0, 0))
    for name, _, style in cells:
        table.add_column(name, justify="right", style=style, no_wrap=True)
    table.add_row(*(value for _, value, _ in cells))
    return table


def _alerts(board: Board, rows: int, width: int) -> RenderableType:
    """The newest alerts that fit into so many rows, newest last."""
    if width >= WIDE:
        return _alerts_table(list(board.alerts)[-max(3, rows) :], width - BESIDE_WHY)
    newest = list(board.alerts)[-max(2, (rows + 1) // 2) :]  # no heading: its row is theirs
    return Group(*(line for alert in newest for line in _two_lines(alert, width - FRAME - len(INDENT))))


def _two_lines(alert: Alert, room: int) -> tuple[Text, Text]:
    """What happened to whom, then why: for a narrow terminal."""
    score = "" if alert.score is None else f"  score {alert.score:.3f}"
    what = Text.assemble(
        f"{_clock(alert)}  ", (alert.what, _style(alert)), "  ", (alert.subject, "cyan"), (score, "dim"), no_wrap=True
    )
    return what, Text(INDENT + _why(alert.reasons, room), no_wrap=True, overflow="ellipsis")


def _clock(alert: Alert) -> str:
    return rfc3339(alert.at_ms)[11:19]


def _style(alert: Alert) -> str:
    return STYLES.get(alert.what, "magenta")


def _alerts_table(alerts: Sequence[Alert], room: int) -> Table:
    table = Table(box=None, expand=True, header_style="dim", pad_edge=False)
    table.add_column("time", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("order or session", no_wrap=True, style="cyan")
    table.add_column("why", ratio=1, no_wrap=True, overflow="ellipsis")
    for alert in alerts:
        score = "" if alert.score is None else f"{alert.score:.3f}"
        why = _why(alert.reasons, room)
        table.add_row(_clock(alert), Text(alert.what, style=_style(alert)), score, alert.subject, why)
    return table
