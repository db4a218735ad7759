"""A schema registry over HTTP: what it answers, and what each failure means to who asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from schemas.settings import SchemaRegistry
from streams.formats.registry import Registry
from streams.formats.schema import Schema, SchemasDown
from streams.protocol.ports import Stop

UNKNOWN = (404, {"error_code": 40403, "message": "Schema not found"})


@dataclass
class Server:
    """Answers what it was told to, by path; remembers who asked."""

    port: int = 0
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    logins: list[str | None] = field(default_factory=list)

    def registry(self, path: str = "/v7/", **more: Any) -> Registry:
        url = f"http://127.0.0.1:{self.port}{path}"
        return Registry(SchemaRegistry.model_validate({"url": url, "timeout_ms": 500, **more}))


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.logins.append(self.headers["Authorization"])
            status, body = told.answers.get(self.path, (404, "<html>not here</html>"))
            if status == 0:
                threading.Event().wait(1.0)  # slower than anybody waits
            self.send_response(status or 200)
            self.end_headers()
            self.wfile.write((body if isinstance(body, str) else json.dumps(body)).encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        told.port = http.server_port
        http.handle_error = lambda *_: None  # type: ignore[method-assign]  # who asked has hung up
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield told
        http.shutdown()


def test_a_schema_comes_with_its_kind_and_what_it_refers_to(server: Server) -> None:
    server.answers = {
        "/v7/schemas/ids/1": (200, {"schema": '"string"'}),  # a registry leaves AVRO out
        "/v7/schemas/ids/2": (200, {"schema": "{}", "schemaType": "JSON", "references": []}),
        "/v7/schemas/ids/3": (
            200,
            {"schema": "3", "schemaType": "AVRO", "references": [{"name": "Item", "subject": "a/b", "version": 4}]},
        ),
        "/v7/subjects/a%2Fb/versions/4": (200, {"schema": "4", "id": 9}),
    }
    asked = server.registry()
    assert asked(1) == Schema("AVRO", '"string"')
    assert asked(2) == Schema("JSON", "{}")
    assert asked(3) == Schema("AVRO", "3", (Schema("AVRO", "4"),))


def test_only_its_own_word_makes_an_id_unknown(server: Server) -> None:
    server.answers = {"/v7/schemas/ids/7": UNKNOWN}
    assert server.registry()(7) is None
    with pytest.raises(Stop, match=r"HEADRACE_SCHEMA_REGISTRY__URL is what comes before /schemas/ids"):
        server.registry("/elsewhere")(7)


@pytest.mark.parametrize("answer", [(500, {}), (503, "busy"), (429, {}), (200, "no json"), (0, {"schema": "1"})])
def test_one_that_is_ill_or_slow_is_down(server: Server, answer: tuple[int, Any]) -> None:
    server.answers = {"/v7/schemas/ids/1": answer}
    with pytest.raises(SchemasDown, match=r"127\.0\.0\.1"):
        server.registry()(1)


def test_one_that_is_not_there_is_down() -> None:
    with pytest.raises(SchemasDown, match="HEADRACE_SCHEMA_REGISTRY__URL"):
        Server(1).registry().check()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_names_the_login_and_not_the_password(server: Server, status: int) -> None:
    server.answers = {"/v7/schemas/types": (status, {})}
    with pytest.raises(Stop, match="HEADRACE_SCHEMA_REGISTRY__PASSWORD") as refused:
        server.registry(username="me", password="5ecret").check()
    assert "5ecret" not in str(refused.value)
    assert server.logins == ["Basic bWU6NWVjcmV0"]


def test_without_a_login_none_is_sent(server: Server) -> None:
    server.answers = {"/v7/schemas/types": (200, ["AVRO"])}
    server.registry().check()
    assert server.logins == [None]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"url": "ftp://host/v7"}, "http://host:port/path"),
        ({"url": "http://me:5ecret@host/v7"}, "HEADRACE_SCHEMA_REGISTRY__PASSWORD"),
        ({"url": "http://host", "username": "me"}, "go together"),
    ],
)
def test_settings_that_cannot_be_used_are_told_without_secrets(wrong: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named) as refused:
        SchemaRegistry.model_validate(wrong)
    assert "5ecret" not in str(refused.value)
