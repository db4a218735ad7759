"""Connections to one server or to the primaries of a cluster, and round trips over them.

A round trip takes one idle connection per server, writes all its calls at once, then reads the replies in order: no
task and no future per reply. A connection that did not read every reply of its own is closed, for the next reply on
it would be another call's. Every failure that waiting may heal becomes `StoreDown`; the map of the cluster is read
again before the next round trip. Everything else (login, permissions, a bug) becomes `Stop`, with the remedy.
The price: one connection per server for each round trip under way, so as many as a worker has partitions.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import urlsplit

from redis import exceptions as redis_errors
from redis.asyncio.connection import ConnectionPool
from redis.crc import key_slot

from streams.protocol.ports import Stop, StoreDown
from streams.stores.wire import Reply, command
from streams.together import Together

CONNECT_S = 2.0
SHARED_BYTES = 32_768  # of calls: a larger round trip is not shared
READ_BYTES = 1 << 20  # at once: replies are hundreds of kB, and redis-py's 64 kB cost the client a tenth more

HEALING = {  # first words of replies that waiting or a new look at the cluster may heal, by the metric's `kind`
    "OOM": "full", "MISCONF": "no_writes", "NOREPLICAS": "no_writes", "READONLY": "no_writes",
    "LOADING": "loading", "BUSY": "busy", "MASTERDOWN": "cluster", "CLUSTERDOWN": "cluster", "MOVED": "cluster",
    "ASK": "cluster", "TRYAGAIN": "cluster",
}  # fmt: skip
CLOSED = "Connection closed by server"  # in redis-py's words
CLOSES = (
    "closes new connections: it is not up yet, or wants TLS (rediss:// in HEADRACE_REDIS__URL) or a certificate of "
    "ours (HEADRACE_REDIS__CERT_FILE)"
)  # a server may end a handshake without saying why
REFUSED = ("CERT", "VERSION", "ALERT", "HANDSHAKE", "RECORD_LAYER", "PEM", "KEY")  # in OpenSSL's words: it stays so
KINDS = frozenset({"unreachable", "timeout", *HEALING.values()})


class Down(StoreDown):
    """`kind` is one of KINDS, for the metric."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class NoLibrary(Down):
    """The server does not know our functions: it is new, or came back empty. They are loaded before the next call."""


class Reconnected(Down):
    """A connection was lost since the last preparation: the server may have come back with less. Nothing was sent."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where the store is and how to get in."""

    url: str = field(repr=False)  # redis://, rediss:// (TLS) or unix://, with or without user:password@
    username: str | None = None  # where the URL names none
    password: str | None = field(default=None, repr=False)
    cluster: bool | None = None  # None: asked of the server
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    timeout_s: float = 5.0  # no answer within this: the store is down

    def pool(self, host: str | None = None, port: int | None = None) -> ConnectionPool:
        """A maker of connections, to the server of the URL or to another one of its cluster."""
        options: dict[str, Any] = {
            "protocol": 2, "client_name": "headrace", "driver_info": None,
            "socket_timeout": None, "socket_connect_timeout": CONNECT_S, "socket_read_size": READ_BYTES,
        }  # fmt: skip
        if self.username or self.password:
            options |= {"username": self.username, "password": self.password}
        if urlsplit(self.url).scheme == "rediss":
            options["ssl_password"] = ""  # else OpenSSL would ask the terminal for that of a locked key
            files = {"ssl_ca_certs": self.ca_file, "ssl_certfile": self.cert_file, "ssl_keyfile": self.key_file}
            options |= {name: str(file) for name, file in files.items() if file is not None}
        pool = ConnectionPool.from_url(self.url, **options)
        if host is not None:
            pool.connection_kwargs |= {"host": host, "port": port}
        return pool


class Link(Protocol):
    """What we use of redis-py's connection: login, TLS and the reader of replies are its work."""

    @property
    def is_connected(self) -> bool: ...
    async def connect(self) -> None: ...
    async def disconnect(self, nowait: bool = False) -> None: ...
    async def can_read(self) -> bool: ...
    async def send_packed_command(self, command: Iterable[bytes], check_health: bool = True) -> None: ...
    async def read_response(self, disable_decoding: bool = False, *, disconnect_on_error: bool = True) -> Reply: ...


class _Lent:
    """`async with` a connection of a node; a generator would take three times as long."""

    __slots__ = ("_link", "_node")

    def __init__(self, node: Node) -> None:
        self._node = node

    async def __aenter__(self) -> Link:
        self._link = await self._node.fresh()
        return self._link

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._node.give_back(self._link)
            return
        self._node.lost = True
        await self._link.disconnect(nowait=True)


class Node:
    """One server: makes connections to it and keeps the idle ones."""

    def __init__(self, access: Access, host: str | None = None, port: int | None = None) -> None:
        self._pool = access.pool(host, port)
        self._idle: list[Link] = []
        self.lost = False  # a connection, since somebody last asked what the server has
        kwargs = self._pool.connection_kwargs
        self.host = str(kwargs.get("host", "localhost"))
        self.name = str(kwargs["path"]) if "path" in kwargs else f"{self.host}:{kwargs.get('port', 6379)}"

    def link(self) -> _Lent:
        """A connection of one's own; it is kept only if the body ends well."""
        return _Lent(self)

    def give_back(self, link: Link) -> None:
        self._idle.append(link)

    async def fresh(self) -> Link:
        """An idle connection that is still open, or a new one."""
        while self._idle:
            link = self._idle.pop()
            if link.is_connected and not await link.can_read():  # readable while idle: the server has closed it
                return link
            self.lost = True
            await link.disconnect(nowait=True)
        made: Link = self._pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py has no type for it
        try:
            await made.connect()
        except redis_errors.ConnectionError as error:
            if not _was_closed(error):
                raise
            raise Down("unreachable", f"the store at {self.name} {CLOSES}") from error
        return made

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().disconnect()


class _Guarded:
    """`async with` a time limit; raises what a failure means."""

    __slots__ = ("_limit", "_server")

    def __init__(self, within_s: float, server: str) -> None:
        self._limit, self._server = asyncio.timeout(within_s), server

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise meaning(late, self._server) from late
        if isinstance(error, redis_errors.RedisError | OSError):
            raise meaning(error, self._server) from error


class Nodes:
    """Knows which server has which shard, and carries calls there."""

    def __init__(self, access: Access, shards: int, on_trip: Callable[[], None] | None = None) -> None:
        self._on_trip = on_trip
        self.access = access
        self._slots = [key_slot(b"%d" % shard) for shard in range(shards)]
        self._seed = Node(access)
        self._known: dict[str, Node] = {self._seed.name: self._seed}
        self._owners: list[Node] = []  # by shard; empty: to be asked
        self._primaries: list[Node] = []
        self.cluster = bool(access.cluster)
        self._shared = Together(self._trip)
        self._large = asyncio.Lock()

    @property
    def single(self) -> bool:
        """Whether one server is known to have all shards."""
        return bool(self._owners) and not self.cluster

    async def primaries(self) -> list[Node]:
        """Every server that takes writes, each once."""
        async with self.guarded():
            await self._look()
        return list(dict.fromkeys(self._primaries))

    def trust(self) -> None:
        """Whatever connections were lost: what the servers have is asked for now."""
        for node in self._known.values():
            node.lost = False

    async def trip(self, calls: Sequence[tuple[int, bytes]]) -> Sequence[Reply]:
        """Sends each (shard, call) to its server, all at once; replies in the order of `calls`.

        Small ones of the same moment share a round trip. Large ones go one after the other: a server writes no answer
        before it has served all whose calls it has read, and who is answered first works while the next is served.
        """
        small = sum(len(call) for _, call in calls) < SHARED_BYTES
        replies = await (self._shared(calls) if small else self._trip(calls, self._large))
        for (shard, _), reply in zip(calls, replies, strict=True):
            if isinstance(reply, Exception):
                server = self._owners[shard].name if self._owners else self._seed.name
                self._owners = []
                raise meaning(reply, server)
        return replies

    async def _trip(self, calls: Sequence[tuple[int, bytes]], turn: asyncio.Lock | None = None) -> list[Reply]:
        """An error reply is an element like any other. Who waits for its turn does so within the time limit."""
        try:
            async with self.guarded(), turn or contextlib.nullcontext():
                owners = await self._look()
                if self._on_trip is not None:
                    self._on_trip()
                return await _exchange(calls, owners)
        except StoreDown:
            self._owners = []
            raise

    async def ask(self, node: Node, *words: bytes | int | str) -> Reply:
        """One command to one server."""
        (reply,) = await self.ask_each(node, [command(*words)])
        return reply

    async def ask_each(self, node: Node, commands: Sequence[bytes]) -> list[Reply]:
        """Packed commands to one server, in one round trip; the first error reply is raised."""
        async with self.guarded(), node.link() as link:
            await link.send_packed_command(commands, check_health=False)
            replies = await _replies(link, len(commands))
        for reply in replies:
            if isinstance(reply, Exception):
                raise meaning(reply, node.name)
        return replies

    def guarded(self) -> _Guarded:
        """The time limit of a round trip, and its failures in the protocol's words."""
        return _Guarded(self.access.timeout_s, self._seed.name)

    async def close(self) -> None:
        for node in self._known.values():
            await node.close()

    # ---- who has what

    async def _look(self) -> list[Node]:
        """The server of each shard."""
        if self._owners:
            return self._owners
        if self.access.cluster is None and not self.cluster:
            _, told = await self._ask_any("INFO", "cluster")
            self.cluster = b"cluster_enabled:1" in told
        if not self.cluster:
            self._primaries, self._owners = [self._seed], [self._seed] * len(self._slots)
        else:
            self._read_map(*await self._ask_any("CLUSTER", "SLOTS"))
        return self._owners

    async def _ask_any(self, *words: str) -> tuple[Node, Reply]:
        """The first server known that answers, for the one of the URL may be the one that died; and its answer."""
        failure: StoreDown | None = None
        for node in list(self._known.values()):
            try:
                reply = await self.ask(node, *words)
            except StoreDown as error:
                failure = failure or error
            else:
                self._known = {node.name: node, **self._known}  # next time it is asked first
                return node, reply
        assert failure is not None
        raise failure

    def _read_map(self, told_by: Node, ranges: Reply) -> None:
        owner_of: dict[int, Node] = {}
        primaries: list[Node] = []
        for first, last, (host, port, *_), *_replicas in ranges:
            node = self._node(host.decode() if host else told_by.host, port)
            primaries.append(node)
            owner_of |= {slot: node for slot in self._slots if first <= slot <= last}
        for shard, slot in enumerate(self._slots):
            if slot not in owner_of:
                raise Down("cluster", f"no server of the cluster has slot {slot}, where shard {shard} lives")
        self._primaries, self._owners = primaries, [owner_of[slot] for slot in self._slots]

    def _node(self, host: str, port: int) -> Node:
        name = f"{host}:{port}"
        if name not in self._known:
            self._known[name] = Node(self.access, host, port)
        return self._known[name]


async def _exchange(calls: Sequence[tuple[int, bytes]], owners: Sequence[Node]) -> list[Reply]:
    """Writes to every server before reading from any, so that they work side by side."""
    places: dict[Node, list[int]] = {}
    for place, (shard, _) in enumerate(calls):
        places.setdefault(owners[shard], []).append(place)
    if len(places) == 1:
        (node,) = places
        async with node.link() as link:
            _still_trusted(places)
            await link.send_packed_command([call for _, call in calls], check_health=False)
            return await _replies(link, len(calls))
    replies: list[Reply] = [None] * len(calls)
    async with contextlib.AsyncExitStack() as stack:
        links = {node: await stack.enter_async_context(node.link()) for node in places}
        _still_trusted(places)
        for node, link in links.items():
            await link.send_packed_command([calls[place][1] for place in places[node]], check_health=False)
        for node, link in links.items():
            for place, reply in zip(places[node], await _replies(link, len(places[node])), strict=True):
                replies[place] = reply
    return replies


def _still_trusted(nodes: Iterable[Node]) -> None:
    """Raises Reconnected where a connection was lost since the last preparation."""
    for node in nodes:
        if node.lost:
            raise Reconnected("unreachable", f"the store at {node.name} closed a connection")


async def _replies(link: Link, count: int) -> list[Reply]:
    """The next replies of a connection; an error reply is an element like any other."""
    replies: list[Reply] = []
    for _ in range(count):
        try:
            replies.append(await link.read_response(disable_decoding=True, disconnect_on_error=False))
        except redis_errors.ResponseError as error:
            replies.append(error)
    return replies


def meaning(error: BaseException, server: str) -> Exception:
    """What a failure means to a worker: wait, or stop."""
    text = str(error)
    code = getattr(error, "status_code", None) or text.split(" ", 1)[0]
    if isinstance(error, redis_errors.AuthenticationError):
        return Stop(
            f"the store at {server} refuses the login ({text}): "
            "set HEADRACE_REDIS__USERNAME and HEADRACE_REDIS__PASSWORD"
        )
    if isinstance(error, redis_errors.NoPermissionError):
        return Stop(
            f"the store at {server} does not permit it ({text}): "
            "grant the user the keys ~{* and the commands that docs/store.md lists"
        )
    if (tls := _tls_fault(error)) is not None:
        return Stop(f"the store at {server} {_untrusted(tls)}")
    if kind := HEALING.get(code):
        return Down(kind, f"the store at {server} answered {code}: {text}")
    if "Function not found" in text:
        return NoLibrary("loading", f"the store at {server} does not have our functions yet")
    if isinstance(error, TimeoutError | redis_errors.TimeoutError):
        return Down(
            "timeout", f"no answer from the store at {server} in time (HEADRACE_REDIS__URL, HEADRACE_REDIS__TIMEOUT_MS)"
        )
    if isinstance(error, redis_errors.ConnectionError | OSError):
        return Down("unreachable", f"the store at {server} cannot be reached: {text} (HEADRACE_REDIS__URL)")
    return Stop(f"the store at {server} refused a call: {text.removeprefix('HEADRACE ')}")


def _was_closed(error: BaseException | None) -> bool:
    """Whether the other side has ended the connection: in good order, or so early that the system says `reset`."""
    if str(error).startswith(CLOSED):
        return True
    while error is not None:
        if isinstance(error, ConnectionResetError | BrokenPipeError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _tls_fault(error: BaseException | None) -> ssl.SSLError | None:
    """The refusal of TLS that the client wraps in a lost connection; not a connection that merely broke."""
    while error is not None:
        if isinstance(error, ssl.SSLError) and any(word in _reason(error) for word in REFUSED):
            return error
        error = error.__cause__ or error.__context__
    return None


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's word for it; absent where Python made the error."""
    return getattr(error, "reason", None) or str(error)


def _untrusted(error: ssl.SSLError) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"cannot be reached by TLS ({_reason(error)}): set HEADRACE_REDIS__URL (rediss:// is TLS, redis:// "
            "is not), HEADRACE_REDIS__CA_FILE, or HEADRACE_REDIS__CERT_FILE where it asks for a certificate of ours"
        )
    if "mismatch" in error.verify_message:
        remedy = "name the store as its certificate does (HEADRACE_REDIS__URL)"
    else:
        remedy = "name the authority that signed it with HEADRACE_REDIS__CA_FILE"
    return f"has a certificate that is not trusted ({error.verify_message.rstrip('.')}): {remedy}"
