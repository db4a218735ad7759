"""`headrace state dump|rebase|rebuild`: a door to streams/state.py."""

from __future__ import annotations

import asyncio
import sys

import click


@click.group("state")
def command() -> None:
    """The state in Redis: dump, rebase, rebuild."""


@command.command("dump")
def dump() -> int:
    """Write what every record means as sorted NDJSON, without TTLs and sequence numbers.

    Two states that took the same events give the same bytes. Stop the workers first where two dumps are to be compared.
    """
    from schemas.settings import load
    from streams.state import dump

    settings = load()

    async def run() -> None:
        async for lines in dump(settings):
            sys.stdout.buffer.write(lines)

    asyncio.run(run())
    return 0


@command.command("rebase")
@click.argument("topic")
@click.option("--abandon", is_flag=True, help="Give up the old topic's open range: decisions of it may never be out.")
def rebase(topic: str, abandon: bool) -> int:
    """Take up a TOPIC that was made anew, or is on another cluster, and keep the state.

    Refused while a worker is alive, and unless the old topic was taken to its end. Twice is once.
    """
    from schemas.settings import load
    from streams.state import rebase

    asyncio.run(rebase(load(), topic, click.echo, abandon=abandon))
    return 0


@command.command("rebuild")
@click.option("--from-scratch", is_flag=True, help="Delete the state first: what the log no longer holds is lost.")
@click.option("--from-archive", is_flag=True, help="Take from HEADRACE_ARCHIVE__URL what Kafka has deleted.")
def rebuild(from_scratch: bool, from_archive: bool) -> int:
    """Make the state again from Kafka, for a store that is empty or lost more than it can make good.

    Refused while a worker is alive. What the store still has it keeps; nothing is published. Cut short, run it again.
    """
    from schemas.settings import load
    from streams.state import rebuild

    settings, archive = load(), None
    if from_archive:
        from streams.archive.run import archive_of

        archive = archive_of(settings)
    asyncio.run(rebuild(settings, click.echo, from_scratch=from_scratch, archive=archive))
    return 0
