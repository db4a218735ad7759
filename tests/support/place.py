"""A stream whose processes get in by logins, certificates and ACLs, as in production, and what a test asks of it.

What the users may do is read from docs/kafka.md and docs/store.md: so the docs are enough, or the tests fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import orjson
import psutil
import redis

from streams.embedded.processes import Children, free_port
from streams.embedded.store import Store, start_store
from tests.support.events import order_body
from tests.support.secured import DOCS, PASSWORDS, Secured
from tests.support.tls import Authority
from tests.support.worker import ROOT, Stream, Worker, until

STORE_USER, STORE_PASSWORD = "keeper", "5tore-5ecret"
SECRETS = (*PASSWORDS.values(), STORE_PASSWORD)
NOTHING: Mapping[str, str] = {}
WRONG = "wr0ng-5ecret"


def guarded_store(children: Children) -> Store:
    """A store with one user who may do what docs/store.md lists, and nobody else."""
    server = start_store(children, free_port())
    permitted = re.findall(r"\+[\w|]+", (DOCS / "store.md").read_text().split("## Permissions")[1].split("##")[0])
    with redis.Redis(port=server.port) as admin:
        admin.execute_command("ACL", "SETUSER", STORE_USER, "reset", "on", f">{STORE_PASSWORD}", "~{*", *permitted)
        admin.execute_command("ACL", "SETUSER", "default", "off")
    return server


def store_login(url: str, authority: Authority) -> dict[str, str]:
    """The settings that lead the user in, by their names without the prefix."""
    return {
        "REDIS__URL": url,
        "REDIS__USERNAME": STORE_USER,
        "REDIS__PASSWORD": STORE_PASSWORD,
        "REDIS__CA_FILE": str(authority.cert),
    }


@dataclass
class Place:
    """A stream whose processes get in by the settings; the test's own questions go by the plain listener."""

    stream: Stream
    secured: Secured
    store: Mapping[str, str]
    outputs: list[str] = field(default_factory=list)

    async def command(
        self, *words: str, by: Mapping[str, str] = NOTHING, stdin: bytes | None = None
    ) -> tuple[int, str, str]:
        """As `operator`, unless the settings say otherwise."""
        code, output, errors = await self._run(words, {**self.secured.login("operator"), **self.store, **by}, stdin)
        self.outputs += [output, errors]
        return code, output, errors

    async def _run(self, words: Sequence[str], by: Mapping[str, str], stdin: bytes | None) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "streams.cli", *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **self.stream.env(**by)},
            cwd=ROOT,
        )
        output, errors = await asyncio.wait_for(process.communicate(stdin), 60)
        return process.returncode or 0, output.decode(), errors.decode()

    async def refused(self, *words: str, by: Mapping[str, str] = NOTHING, stdin: bytes | None = None) -> str:
        """What a command says that could not run: one line."""
        code, output, errors = await self.command(*words, by=by, stdin=stdin)
        assert (code, output) == (2, ""), errors
        (line,) = errors.splitlines()
        return line

    def worker(self, by: Mapping[str, str] = NOTHING) -> Worker:
        """As `headrace`, unless the settings say otherwise."""
        return self.stream.worker(None, **{**self.secured.login(), **self.store, **by})

    async def ends(self) -> list[int]:
        """The exit codes of the workers, once asked to end; the door to the store stays open meanwhile."""
        codes = [await asyncio.to_thread(worker.terminate) for worker in self.stream.workers]
        assert set(codes) <= {0, 2}, "\n".join(worker.said for worker in self.stream.workers)
        return codes

    async def stopped(self, by: Mapping[str, str]) -> str:
        """The line by which a worker says that it must stop."""
        worker = self.worker(by)
        assert await worker.ended() == 2, worker.said
        said = [line for line in worker.said.splitlines() if " INFO " not in line]
        assert len(said) == 1, worker.said
        return said[0]

    async def works(self, sent: int) -> None:
        """Returns when the workers have decided so many orders."""

        async def decided() -> bool:
            code, output, errors = await self.command("audit", "--json")
            assert code in (0, 1), errors
            return bool(orjson.loads(output)["decided"] == sent)

        await until(decided, 60.0, lambda: "\n".join(worker.said for worker in self.stream.workers))

    def nothing_leaked(self) -> None:
        """No password in what was printed, logged, or in any command line of this machine."""
        said = [*self.outputs, *(worker.said for worker in self.stream.workers)]
        commands = [" ".join(words) for words in _command_lines()]
        for text in (*said, *commands):
            assert not [secret for secret in (*SECRETS, WRONG) if secret in text], text


def _command_lines() -> Iterator[list[str]]:
    """Of all processes but those that give a test's broker its users: another test beside this one may be at it."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if "kafka.tools.StorageTool" not in words:
                yield words


def order_lines(count: int) -> bytes:
    name = uuid4().hex[:6]
    return b"".join(orjson.dumps(order_body(f"{name}{n}", f"u{n % 7}")) + b"\n" for n in range(count))
