"""`headrace produce TOPIC < FILE`: NDJSON lines to a topic."""

from __future__ import annotations

import asyncio
from typing import BinaryIO

import click

from streams.cli.completion import topics


@click.command("produce")
@click.argument("topic", shell_complete=topics)
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--raw", is_flag=True, help="Send bad lines too, as they stand.")
@click.option("--timestamps", type=click.Choice(["now", "event"]), default="now", help="The record's timestamp.")
@click.option("--source", default="/headrace/produce", show_default=True, help="CloudEvents' source.")
def command(topic: str, file: BinaryIO, raw: bool, timestamps: str, source: str) -> int:
    """Send NDJSON from FILE (default: standard input) to TOPIC.

    The key is user_id, else visitor_id, else order_id. A line that the topic's decoder refuses is told with its number
    and left out. Exit code 1 if there was one.
    """
    from schemas.settings import load
    from streams.data.cluster import Cluster
    from streams.data.produce import BadLine, Form, Produced, produce
    from streams.data.sender import Sender

    def report(bad: BadLine) -> None:
        click.echo(f"{bad}{' (sent)' if raw else ''}", err=True)

    async def run() -> Produced:
        cluster = Cluster(load().kafka)
        await cluster.partitions([topic])
        async with cluster.producer() as producer:
            return await produce(file, Form(topic, raw, timestamps == "event", source), Sender(producer), report)

    done = asyncio.run(run())
    bad = "".join(f", {count} {reason}" for reason, count in sorted(done.reasons.items()))
    click.echo(f"{done.sent} records to {topic}{bad}", err=True)
    return int(done.bad > 0 and not raw)
