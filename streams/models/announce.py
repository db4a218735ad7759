"""Telling topic `models`: what is in force, and what each configuration is made of.

A deployment is in force once it is in the registry; the record makes workers look now instead of within half a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.decisions import encode
from schemas.deployments import DEPLOYMENT_KEY, TOPIC, Deployment, configuration_key
from streams.configuration import Configuration
from streams.transport.output import Output

if TYPE_CHECKING:
    from streams.data.cluster import Cluster  # administrative clients: a worker has no use for them


def deployment_output(deployment: Deployment) -> Output:
    """The record that workers hear of a deployment by."""
    return Output(TOPIC, DEPLOYMENT_KEY, encode(deployment), partition=0)


def configuration_output(configuration: Configuration) -> Output:
    """The record that a configuration is found by, for ever."""
    return Output(TOPIC, configuration_key(configuration.id), configuration.announcement, partition=0)


async def announce(cluster: Cluster, deployment: Deployment) -> None:
    """Rings the bell; raises ClusterError where there is no such topic, or no broker answers."""
    await cluster.partitions([TOPIC])
    record = deployment_output(deployment)
    async with cluster.producer() as producer:
        await producer.send_and_wait(record.topic, record.value, key=record.key, partition=record.partition)
