"""The state space as the settings describe it: definitions, constants, and the store that is opened with them.

Used by the worker and by every command that looks at the state, so that all of them agree on what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec

from features.definitions import Definitions, DefinitionsError, load
from features.shop import shop_definitions
from schemas.settings import Settings
from streams.formats.plain import Plain, understood
from streams.protocol.ports import Limits, Stop
from streams.stores.nodes import Access
from streams.stores.prepare import GROUP, LAYOUT, SWITCH, SWITCHED
from streams.stores.valkey import ValkeyStore

RETENTION_MS = 7 * 86_400_000  # a bag outlives its longest window by this, or by the window where that is shorter


def definitions_of(settings: Settings, plain: Plain | None = None) -> Definitions:
    """The user's definitions file, else the shop's own features; read by `plain` where a schema registry is named.

    Raises Stop where the file cannot be used.
    """
    plain = plain or plain_of(settings)
    definitions = _definitions(settings)
    return definitions if plain is None else understood(definitions, plain)


def plain_of(settings: Settings) -> Plain | None:
    """What reads the values that a schema registry's serialisers wrote; None where no registry is named."""
    if settings.schema_registry.url is None:
        return None
    if find_spec("fastavro") is None:
        raise Stop("HEADRACE_SCHEMA_REGISTRY__URL wants what reads Avro: pip install 'headrace[avro]'")
    from streams.formats.registry import Registry  # an HTTP client, which few need

    return Plain(Registry(settings.schema_registry))


def _definitions(settings: Settings) -> Definitions:
    if settings.features is None:
        return shop_definitions(settings.money)
    try:
        return load(settings.features)
    except DefinitionsError as error:
        raise Stop(str(error)) from error


def limits_of(settings: Settings) -> Limits:
    """What decides verdicts: constants of the state space."""
    limits = settings.limits
    return Limits(
        dedup_offsets=limits.dedup_offsets,
        dedup_s=limits.dedup_ms // 1000,
        late_ms=limits.late_ms,
        future_ms=limits.future_ms,
    )


def constants_of(settings: Settings, definitions: Definitions) -> dict[str, str]:
    """What decides entries and what bags hold: the currency table, the layout of the bags, each group's contents."""
    return {**common_of(settings, definitions), **features_of(definitions), SWITCH: SWITCHED}


def common_of(settings: Settings, definitions: Definitions) -> dict[str, str]:
    """Of these the ones that no change of a group changes."""
    return {"money": settings.money.fingerprint(), **(definitions.constants or {})}


def features_of(definitions: Definitions) -> dict[str, str]:
    """Those that follow from the groups."""
    return {LAYOUT: definitions.layout, **{GROUP + name: held for name, held in definitions.contents.items()}}


def ttls_of(definitions: Definitions) -> Mapping[str, int]:
    """Physical life of a bag by group: its longest window and as much again, at most a week more.

    A bag in which flows meet has no window: its `keep_ms`.
    """
    lives = {group.name: group.longest_ms + min(group.longest_ms, RETENTION_MS) for group in definitions.groups}
    return lives | {meeting.name: meeting.keep_ms for meeting in definitions.meetings}


def _nobody(_: str) -> None:
    """Counts nothing."""


def open_store(
    settings: Settings,
    definitions: Definitions,
    on_call: Callable[[str], None] = _nobody,
    on_trip: Callable[[], None] | None = None,
    on_failure: Callable[[str], None] = _nobody,
    constants: Mapping[str, str] | None = None,
) -> ValkeyStore:
    """The store of the settings; nothing is connected yet. `constants`: what is to be agreed, where it is not all."""
    ttls = ttls_of(definitions)
    return ValkeyStore(
        access_of(settings),
        settings.shards,
        limits=limits_of(settings),
        constants=constants_of(settings, definitions) if constants is None else constants,
        ttl_ms=max(ttls.values()),
        ttls_ms=ttls,
        on_call=on_call,
        on_trip=on_trip,
        on_failure=on_failure,
    )


def access_of(settings: Settings) -> Access:
    """Where the store is and how to get in."""
    redis = settings.redis
    return Access(
        url=redis.url.get_secret_value(),
        username=redis.username,
        password=redis.password.get_secret_value() if redis.password else None,
        cluster=redis.cluster,
        ca_file=redis.ca_file,
        cert_file=redis.cert_file,
        key_file=redis.key_file,
        timeout_s=redis.timeout_ms / 1000,
    )
