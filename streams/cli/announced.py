"""Ringing the bell for workers from a terminal; without a broker they find a deployment by themselves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from schemas.deployments import Deployment
    from schemas.settings import Settings


def announced(settings: Settings, deployment: Deployment) -> None:
    """Tells workers of it; warns where nobody could be told."""
    from aiokafka.errors import KafkaError  # type: ignore[import-untyped]  # it ships no types

    from streams.data.cluster import Cluster, ClusterError
    from streams.models.announce import announce
    from streams.protocol.ports import Stop

    try:
        asyncio.run(announce(Cluster(settings.kafka), deployment))
    except (ClusterError, KafkaError, Stop, OSError) as error:
        click.echo(f"Warning: workers will find it within half a minute, not at once: {error}", err=True)
