"""Schemas by their ids, asked of a registry over HTTP: Confluent's interface, which Apicurio and Karapace have too.

An answer is for ever, since a registry never changes what an id means. Only its own word that there is no such id
(error code 40403) makes a value unreadable; whatever else goes wrong is waited out (SchemasDown) or, where waiting
cannot help, stops whoever asked with the setting to change. The calls block: a worker makes them aside.
"""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from schemas.settings import SchemaRegistry
from streams.formats.schema import Schema, SchemasDown
from streams.protocol.ports import Stop

UNKNOWN: Final = 40403
MOST_BYTES: Final = 4_194_304  # of an answer
ACCEPT: Final = "application/vnd.schemaregistry.v1+json, application/json"


@dataclass(frozen=True, slots=True)
class Registry:
    """Where it is and how to get in. Called with an id: the schema, None where there is none."""

    settings: SchemaRegistry

    def __call__(self, number: int) -> Schema | None:
        found = self._get(f"schemas/ids/{number}")
        return None if found is None else self._schema(found)

    def check(self) -> None:
        """Raises SchemasDown where nothing answers, Stop where it is no registry or refuses us."""
        self._get("schemas/types")

    def _schema(self, found: Any) -> Schema:
        named = [(each["subject"], each["version"]) for each in found.get("references") or ()]
        return Schema(
            found.get("schemaType") or "AVRO",
            found["schema"],
            tuple(self._version(subject, version) for subject, version in named),
        )

    def _version(self, subject: str, version: int) -> Schema:
        found = self._get(f"subjects/{quote(subject, safe='')}/versions/{version}")
        if found is None:
            raise SchemasDown(f"{self._where} does not know version {version} of {subject!r}, to which a schema refers")
        return self._schema(found)

    @property
    def _where(self) -> str:
        return f"the schema registry at {self.settings.shown}"

    def _get(self, path: str) -> Any:
        """The answer as JSON; None where the registry says that there is no such schema."""
        request = urllib.request.Request(f"{self.settings.base}/{path}", headers=self._headers())
        try:
            with urllib.request.urlopen(
                request, timeout=self.settings.timeout_ms / 1000, context=self._tls()
            ) as answer:
                return json.loads(answer.read(MOST_BYTES))
        except urllib.error.HTTPError as error:
            return self._refused(error)
        except (OSError, ValueError) as error:
            raise self._failure(error) from error

    def _refused(self, error: urllib.error.HTTPError) -> None:
        """None where there is no such schema; raises what any other status means."""
        with error:
            body = error.read(MOST_BYTES)
        if error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise Stop(
                f"{self._where} refuses us ({error.code}): set HEADRACE_SCHEMA_REGISTRY__USERNAME and "
                "HEADRACE_SCHEMA_REGISTRY__PASSWORD"
            ) from error
        if error.code == HTTPStatus.NOT_FOUND:
            if _code(body) == UNKNOWN:
                return
            raise Stop(
                f"{self._where} has no schemas there (404): HEADRACE_SCHEMA_REGISTRY__URL is what comes before "
                "/schemas/ids"
            ) from error
        raise SchemasDown(f"{self._where} answered {error.code}") from error

    def _failure(self, error: Exception) -> Exception:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            return Stop(
                f"{self._where} has a certificate that is not trusted ({reason.verify_message}): name the authority "
                "that signed it with HEADRACE_SCHEMA_REGISTRY__CA_FILE"
            )
        return SchemasDown(f"{self._where} does not answer ({reason}) (HEADRACE_SCHEMA_REGISTRY__URL)")

    def _headers(self) -> dict[str, str]:
        user, password = self.settings.username, self.settings.password
        if not (user and password):
            return {"Accept": ACCEPT}
        login = base64.b64encode(f"{user}:{password.get_secret_value()}".encode()).decode()
        return {"Accept": ACCEPT, "Authorization": f"Basic {login}"}

    def _tls(self) -> ssl.SSLContext | None:
        if not self.settings.tls:
            return None
        try:
            return ssl.create_default_context(cafile=self.settings.ca_file)
        except ssl.SSLError as error:
            raise Stop(
                f"{self.settings.ca_file} holds no certificates ({error.reason}): want a PEM file "
                "(HEADRACE_SCHEMA_REGISTRY__CA_FILE)"
            ) from error


def _code(body: bytes) -> int | None:
    """The registry's own code of an error; None where the body is not one of its answers."""
    try:
        said = json.loads(body)
    except ValueError:
        return None
    return said.get("error_code") if isinstance(said, dict) else None
