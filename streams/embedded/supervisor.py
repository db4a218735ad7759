"""Keeps services running: what ends by accident is started again, at once the first time, then ever more patiently.

The idea: a list of services and one `look` that is called several times a second; nothing here has a thread or a clock
of its own. A worker that leaves in good order (exit code 0) was told to and stays away. The price: a service that
needs long to start holds up the looks at the others.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streams.embedded.processes import POLL_S, Child, StartError

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
HEALTHY_S = 10.0  # one that ran this long starts again at once: what ended it was not its start
WORDS = 3  # lines of a service's log in a message
COULD_NOT_RUN = 2


@dataclass(slots=True)
class Service:
    """One child and how to start it anew. `always`: also after an end in good order. `optional`: we can do without."""

    name: str
    start: Callable[[], Child]
    child: Child
    always: bool = False
    optional: bool = False
    started_at_s: float = 0.0
    fresh: bool = True  # it has never been started again
    failures: int = 0
    again_at_s: float | None = None  # set while it is down and waiting


class Supervisor:
    """Looks after services; `tell` gets a line for each change of state."""

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._clock = tell, clock
        self.services: list[Service] = []

    def add(
        self,
        name: str,
        start: Callable[[], Child],
        *,
        child: Child | None = None,
        always: bool = False,
        optional: bool = False,
    ) -> Service:
        """Starts a service, or takes one over that runs; raises StartError where it does not start this first time."""
        service = Service(name, start, child or start(), always, optional, self._clock())
        self.services.append(service)
        return service

    def look(self) -> None:
        """Notices what has ended and starts what is due. Called often.

        Raises StartError for one that says at its very start that it could not run: it would say so again. Later the
        same exit code is worth another try, since somebody may be mending what it named.
        """
        for service in list(self.services):
            if service.again_at_s is None:
                self._notice(service)
            if service.again_at_s is not None and self._clock() >= service.again_at_s:
                self._start(service)

    def _notice(self, service: Service) -> None:
        code = service.child.poll()
        if code is None:
            return
        if code == 0 and not service.always:
            self.services.remove(service)
            self._tell(f"{service.name} has ended in good order and stays away")
            return
        healthy = self._clock() - service.started_at_s >= HEALTHY_S
        if code == COULD_NOT_RUN and service.fresh and not healthy:
            if service.optional:
                self.services.remove(service)
                self._tell(
                    f"{service.name} could not run and stays away; it said last:\n{service.child.complaint(WORDS)}"
                )
                return
            raise StartError(f"{service.name} could not run; its last words:\n{service.child.last_words()}")
        self._postpone(service, f"has ended ({reason(code)})", service.child.complaint(WORDS), healthy=healthy)

    def _postpone(self, service: Service, what: str, said: str = "", *, healthy: bool) -> None:
        service.failures = 0 if healthy else service.failures + 1
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (service.failures - 1)) if service.failures else 0.0
        service.again_at_s = self._clock() + wait_s
        soon = f"in {wait_s:g} s" if wait_s else "at once"
        self._tell(f"{service.name} {what}; starting it again {soon}" + (f"; it said last:\n{said}" if said else ""))

    def _start(self, service: Service) -> None:
        try:
            service.child = service.start()
        except StartError as error:
            self._postpone(service, f"did not start: {error}", healthy=False)
            return
        service.started_at_s, service.again_at_s, service.fresh = self._clock(), None, False

    def stop(self, within_s: float) -> None:
        """Ends every service: all are asked at once, and killed where `within_s` is not enough."""
        end_together([service.child for service in self.services], within_s)
        self.services.clear()


def end_together(children: Sequence[Child], within_s: float) -> None:
    """SIGTERM to all, one common wait, SIGKILL to who is left."""
    for child in children:
        child.ask_to_end()
    until = time.monotonic() + within_s
    while any(child.running for child in children) and time.monotonic() < until:
        time.sleep(POLL_S)
    for child in children:
        child.kill()


def reason(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
