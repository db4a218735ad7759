"""What a worker stands on: a broker with the topics and a store, embedded unless the settings name real ones.

`HEADRACE_KAFKA__BROKERS` or `HEADRACE_REDIS__URL` set: that one is used, and nothing is started in its place.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from schemas.settings import Settings, load
from streams.data.topics import create_topics
from streams.embedded.broker import Broker, start_broker
from streams.embedded.processes import Child, Children, StartError, free_port, is_free
from streams.embedded.store import Store, start_store

USUAL_BROKER_PORT = 9092
USUAL_STORE_PORT = 6379
USUAL_PAGE_PORT = 8080
USUAL_METRICS_PORT = 9641
TRIES = 4

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Services:
    """The embedded services that run (None: a real one is used) and the settings that lead to them."""

    children: Children
    broker: Broker | None
    store: Store | None
    settings: Settings

    def environment(self) -> dict[str, str]:
        """What a process of ours must be told to find the embedded ones."""
        told: dict[str, str] = {}
        if self.broker is not None:
            told |= {"HEADRACE_KAFKA__BROKERS": self.broker.address, "HEADRACE_KAFKA__PROFILE": "embedded"}
        if self.store is not None:
            told |= {"HEADRACE_REDIS__URL": self.store.url}
        return told

    def start_worker(self, slot: int, metrics_port: int) -> Child:
        """A worker of this very installation, in the caller's own directory: paths in its settings may be relative."""
        argv = [sys.executable, "-P", "-m", "streams.cli", "worker"]
        argv += ["--slot", str(slot), "--metrics-port", str(metrics_port)]
        return self.children.start(f"worker-{slot}", argv, self.environment(), cwd=Path.cwd())

    def start_archive(self) -> Child:
        """The archive of the settings, as `headrace archive` in the caller's own directory."""
        argv = [sys.executable, "-P", "-m", "streams.cli", "archive"]
        return self.children.start("archive", argv, self.environment(), cwd=Path.cwd())

    def start_learner(self) -> Child:
        """The online models of the settings, as `headrace learn` in the caller's own directory."""
        argv = [sys.executable, "-P", "-m", "streams.cli", "learn"]
        return self.children.start("learner", argv, self.environment(), cwd=Path.cwd())

    def start_page(self, port: int, asked_at: Path | None = None) -> Child:
        """The live page and the HTTP API; with the demo's buttons where they can be asked for."""
        argv = [sys.executable, "-P", "-m", "streams.cli", "serve", "--port", str(port)]
        argv += ["--demo", str(asked_at)] if asked_at else []
        return self.children.start("page", argv, self.environment(), cwd=Path.cwd())


def start_services(children: Children, broker_port: int | None = None, store_port: int | None = None) -> Services:
    """Starts what the settings do not name and creates the topics; raises StartError, BadSettingsError, ClusterError.

    A port that is asked for must be free; without one it is the usual port, or any that is free.
    """
    settings = load()
    _check_logins(settings)
    broker = store = None
    if "brokers" not in settings.kafka.model_fields_set:
        broker = on_a_port(lambda port: start_broker(children, port), broker_port, USUAL_BROKER_PORT)
    elif broker_port is not None:
        raise StartError(
            _needless("--kafka-port", broker_port, f"HEADRACE_KAFKA__BROKERS names {settings.kafka.brokers}")
        )
    if "url" not in settings.redis.model_fields_set:
        store = on_a_port(lambda port: start_store(children, port), store_port, USUAL_STORE_PORT)
    elif store_port is not None:
        raise StartError(_needless("--store-port", store_port, f"HEADRACE_REDIS__URL names {settings.redis.shown}"))
    settings = load(
        kafka={"brokers": broker.address, "profile": "embedded"} if broker else {},
        redis={"url": store.url} if store else {},
    )
    asyncio.run(create_topics(settings))
    return Services(children, broker, store, settings)


def _check_logins(settings: Settings) -> None:
    """Raises StartError for a login or TLS without the address it is for: an embedded service knows neither."""
    kafka, redis = settings.kafka, settings.redis
    if "brokers" not in kafka.model_fields_set and kafka.security_protocol != "PLAINTEXT":
        raise StartError(
            f"HEADRACE_KAFKA__SECURITY_PROTOCOL is {kafka.security_protocol}, and the embedded broker has no TLS "
            "and no logins: name yours with HEADRACE_KAFKA__BROKERS, or leave it out"
        )
    if "url" not in redis.model_fields_set and (redis.username or redis.password):
        raise StartError(
            "HEADRACE_REDIS__USERNAME or HEADRACE_REDIS__PASSWORD is set, and the embedded store has no logins: name "
            "yours with HEADRACE_REDIS__URL, or leave them out"
        )


def on_a_port(start: Callable[[int], S], asked: int | None, usual: int) -> S:
    """Starts on the port asked for, or else on the usual one, or else on a free one.

    Whether it is free is for `start` to find out: a look from outside has the port for a moment, and whoever starts a
    service on it right then would be told that it is taken.
    """
    for port in (asked,) if asked is not None else (usual, *(free_port() for _ in range(TRIES - 1))):
        try:
            return start(port)
        except StartError:
            if is_free(port):  # it was not the port
                raise
    if asked is not None:
        raise StartError(f"port {asked} is taken: choose another, or leave the option out for any free one")
    raise StartError(f"no free port in {TRIES} tries: name one by the option")


def _needless(option: str, port: int, why: str) -> str:
    return f"{option} {port}: nothing is started there, since {why}; leave one of the two out"
