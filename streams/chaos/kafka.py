"""One Apache Kafka broker (KRaft, broker and controller in one process) from its jars, as a child process.

The embedded broker loses its log when it dies, so this one is what a broker's death is tried on, and what the tests
hold for the truth. Maven fetches the jars once into a cache. It is like one in production where it matters (no topics
made by accident, sessions of at least 6 s) and quick where that changes nothing: C1 compilation only, one replica, a
killed broker's registration expires after 3 s instead of 9. The price: Java 17, Maven, 43 MB of jars, 400 MB resident.
"""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.embedded.broker import answers
from streams.embedded.processes import LOCALHOST, Child, Children, StartError, free_port, start_service

POM = Path(__file__).with_name("kafka.xml")
FETCH_S = 300.0
START_S = 60.0  # under 4 s on a quiet machine; 24 s after a SIGKILL
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"

CONFIG: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "log.segment.delete.delay.ms": "1000",
    "log.cleaner.dedupe.buffer.size": "4194304",
}


def jars(cache: Path) -> Path:
    """The folder of the broker's jars, fetched into `cache` where absent; raises StartError where that cannot be."""
    _, version = re.findall(r"<version>([\d.]+)</version>", POM.read_text())[:2]  # the first is the pom's own
    folder = cache / str(version)
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:  # of several processes, one fetches
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise StartError(
            f"Apache Kafka's jars are not in {folder.parent}, and mvn, which would fetch them, is not on the PATH"
        )
    partly = folder.with_suffix(".part")
    shutil.rmtree(partly, ignore_errors=True)
    command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={partly}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_S, check=False)
    if done.returncode != 0:
        raise StartError(f"Maven could not fetch Apache Kafka: {(done.stdout + done.stderr).strip()[-800:]}")
    partly.rename(folder)


@dataclass(slots=True)
class Kafka:
    """A running broker; `child` is replaced by a restart."""

    port: int
    children: Children
    libs: Path
    child: Child

    @property
    def address(self) -> str:
        return f"{LOCALHOST}:{self.port}"

    def kill(self) -> None:
        """SIGKILL. What it acknowledged is in the page cache, so a restart has it."""
        self.child.kill()

    def restart(self) -> None:
        """Starts it again on the same port with its log, after a kill or in good order."""
        self.child.terminate(30.0)
        self.child = _launch(self.children, self.libs, self.port)

    def stop(self) -> None:
        """SIGSTOP."""
        self.child.stop()

    def cont(self) -> None:
        """SIGCONT."""
        self.child.cont()


def start_kafka(
    children: Children,
    cache: Path,
    config: Mapping[str, str] | None = None,
    *,
    listeners: str = "",
    format_with: Sequence[str] = (),
) -> Kafka:
    """A fresh broker in the children's folder; `config` is added to, or replaces, CONFIG.

    `listeners` (`NAME://host:port,...`) are added to the plain one; `format_with` are further words for StorageTool.
    """
    libs = jars(cache)
    port, controller = free_port(), free_port()
    told = ",".join([f"PLAINTEXT://{LOCALHOST}:{port}", *filter(None, [listeners])])
    lines = {
        **CONFIG,
        "controller.quorum.voters": f"1@{LOCALHOST}:{controller}",
        "listeners": f"{told},CONTROLLER://{LOCALHOST}:{controller}",
        "advertised.listeners": told,
        "log.dirs": str(children.folder / "kafka"),
        **(config or {}),
    }
    properties = children.folder / "server.properties"
    properties.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    formatting: list[str | Path] = [
        "kafka.tools.StorageTool",
        "format",
        "-t",
        CLUSTER_ID,
        "-c",
        properties,
        *format_with,
    ]
    formatter = children.start("kafka-format", [*_java(libs), *formatting])
    if formatter.wait(START_S) != 0:
        raise StartError(f"Apache Kafka's storage could not be formatted:\n{formatter.last_words()}")
    return Kafka(port, children, libs, _launch(children, libs, port))


def _launch(children: Children, libs: Path, port: int) -> Child:
    argv = [*_java(libs), "kafka.Kafka", children.folder / "server.properties"]
    return start_service(children, "kafka", argv, lambda: answers(port), START_S)


def _java(libs: Path) -> list[str | Path]:
    quick = ["-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    return ["java", *quick, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{libs}/*"]
