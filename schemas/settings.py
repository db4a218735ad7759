"""The one `Settings`: every knob of every process, read from the environment once, at the entry point.

`HEADRACE_KAFKA__BROKERS` is `settings.kafka.brokers`: prefix `HEADRACE_`, `__` between the levels, JSON where a value
is a table. All of it is frozen; deeper code takes the two or three values it needs. Passwords are `SecretStr`: a repr,
an error or a log line never shows them, and each may come from a file (secretfiles.py). Errors name the variable, the
value it had and the remedy. The price: pydantic costs about 100 ms of import, so nothing that must answer at once
imports this module at the top.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from schemas.money import DEFAULT_BASE, DEFAULT_RATES, RateError, Rates
from schemas.secretfiles import SUFFIX, SecretFileError, from_files

PREFIX = "HEADRACE_"
HOUR_MS = 3_600_000
KAFKA_MIN_SESSION_MS = 6_000  # Apache Kafka's group.min.session.timeout.ms
# For tests, chaos and parity.
NOT_SETTINGS = frozenset({"HEADRACE_REQUIRE", "HEADRACE_CHAOS_MUTATE", "HEADRACE_PARITY_PLANT"})


class BadSettingsError(ValueError):
    """The environment does not make usable settings; each line names a variable, its value and the remedy."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise ValueError("no such file: give the path of one that exists")
    return path


File = Annotated[Path, AfterValidator(_existing)]


class Kafka(_Part):
    """Where the log is and how to get in."""

    brokers: str = Field(default="127.0.0.1:9092", min_length=1, description="comma-separated host:port")
    profile: Literal["auto", "kafka", "embedded"] = Field(
        default="auto", description="timings for Apache Kafka or for the embedded broker; auto: asked of the broker"
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="SSL: TLS; SASL: with a login"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="PLAIN", description="how the login is made"
    )
    username: str | None = Field(default=None, description="of the login")
    password: SecretStr | None = Field(default=None, description="of the login")
    ca_file: File | None = Field(default=None, description="certificates of the authority that signed the broker's")
    cert_file: File | None = Field(default=None, description="our certificate, for mutual TLS")
    key_file: File | None = Field(default=None, description="the key of cert_file")
    key_password: SecretStr | None = Field(default=None, description="of key_file, where it has one")
    group: str = Field(default="headrace", min_length=1, description="consumer group of the workers")
    session_timeout_ms: int | None = Field(default=None, ge=500, description="default: 6,000 on Kafka, 2,000 embedded")
    fetch_wait_ms: int | None = Field(default=None, ge=1, le=5_000, description="default: 5 on Kafka, 20 embedded")
    fetch_partition_bytes: int = Field(
        default=4_194_304, ge=1_048_576, description="most bytes of one partition in one fetch"
    )
    request_timeout_ms: int = Field(default=60_000, ge=1_000, description="a request without an answer has failed")

    @property
    def bootstrap(self) -> list[str]:
        """The brokers as a list of host:port."""
        return [broker.strip() for broker in self.brokers.split(",") if broker.strip()]

    @property
    def tls(self) -> bool:
        return self.security_protocol.endswith("SSL")

    @property
    def sasl(self) -> bool:
        return self.security_protocol.startswith("SASL")

    @model_validator(mode="after")
    def _whole(self) -> Kafka:
        if not self.bootstrap:
            raise ValueError(f"kafka.brokers {self.brokers!r}: want host:port, several with commas")
        if self.sasl and not (self.username and self.password):
            raise ValueError(
                f"kafka.security_protocol {self.security_protocol} wants a login: "
                "set HEADRACE_KAFKA__USERNAME and HEADRACE_KAFKA__PASSWORD"
            )
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("kafka.cert_file and kafka.key_file go together: set both or neither")
        return self


def _is_whole(url: str) -> bool:
    """Whether a URL has its host and port where they belong: a / or # in a password would move them."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its text holds what may be a password
        return False
    return bool(parts.hostname) and "@" not in parts.path + parts.query + parts.fragment


class Redis(_Part):
    """Where the state is and how to get in."""

    url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="redis:// or rediss:// (TLS), with or without user:password@",
    )
    username: str | None = Field(default=None, description="an ACL user, where the URL names none")
    password: SecretStr | None = Field(default=None, description="where the URL has none")
    cluster: bool | None = Field(default=None, description="default: asked of the server")
    ca_file: File | None = Field(default=None, description="certificates of the authority that signed the server's")
    cert_file: File | None = Field(default=None, description="our certificate, for mutual TLS")
    key_file: File | None = Field(default=None, description="the key of cert_file")
    timeout_ms: int = Field(default=5_000, ge=100, description="no answer within this: the store is down")

    @property
    def tls(self) -> bool:
        return urlsplit(self.url.get_secret_value()).scheme == "rediss"

    @property
    def shown(self) -> str:
        """The URL without its password, for logs and tables."""
        return without_password(self.url.get_secret_value())

    @model_validator(mode="after")
    def _whole(self) -> Redis:
        scheme, found, _ = self.url.get_secret_value().partition("://")
        if scheme not in ("redis", "rediss"):
            shown = repr(scheme) if found and scheme.isalnum() else "(hidden)"
            raise ValueError(f"redis.url has scheme {shown}: want redis:// or, with TLS, rediss://")
        if not _is_whole(self.url.get_secret_value()):
            raise ValueError(
                "HEADRACE_REDIS__URL (hidden) is not redis://user:password@host:port/0: write %2F for a / in the "
                "password (and so on), or put it into HEADRACE_REDIS__PASSWORD"
            )
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("redis.cert_file and redis.key_file go together: set both or neither")
        return self


class Limits(_Part):
    """What is judged against the record's timestamp. All of it decides entries: constants of the state space."""

    future_s: float = Field(
        default=300.0, ge=0, description="an event further ahead of its record than this is `future`"
    )
    late_s: float = Field(
        default=30 * 86_400.0,
        gt=0,
        description="an event further behind its record is `too_late`: the longest window",
    )
    dedup_offsets: int = Field(
        default=1_000_000, ge=1, description="an id is remembered for so many offsets of its partition"
    )
    dedup_hours: float = Field(
        default=48.0, gt=0, description="and for this long in record timestamps, whichever is shorter"
    )

    @property
    def future_ms(self) -> int:
        return round(self.future_s * 1000)

    @property
    def late_ms(self) -> int:
        return round(self.late_s * 1000)

    @property
    def dedup_ms(self) -> int:
        return round(self.dedup_hours * HOUR_MS)


class Metrics(_Part):
    """Where this process serves its Prometheus metrics."""

    host: str = Field(default="127.0.0.1", description="0.0.0.0 where another machine scrapes")
    port: int = Field(default=0, ge=0, le=65_535, description="0: any free port; the worker says which")


class Watchdog(_Part):
    """When a worker that makes no progress ends itself. A broker that is away never counts."""

    enabled: bool = Field(default=True, description="false: a worker that stands still stays alive")
    grace_s: float = Field(
        default=10.0, ge=0, description="without progress for the session timeout and this long: exit"
    )
    assignment_s: float = Field(default=30.0, gt=0, description="no partition assigned after start for this long: exit")


class Archive(_Part):
    """The archive: history as Parquet files, for training, replays and whoever asks (`headrace archive`)."""

    url: str | None = Field(
        default=None, description="a folder, or `s3://bucket/prefix?endpoint_override=host:port&scheme=http&region=…`"
    )
    group: str = Field(default="headrace-archive", min_length=1, description="consumer group of the archive")
    file_mb: int = Field(default=64, ge=1, le=1024, description="a file ends with so many MB of records")
    file_s: float = Field(default=60.0, gt=0, description="or when its first record has waited so long")
    held_mb: int = Field(default=256, ge=1, description="records in memory, of all partitions")
    compact_mb: int = Field(default=128, ge=1, le=2048, description="small files are merged up to this size")
    upkeep_s: float = Field(default=3600.0, ge=0, description="the process merges and expires so often; 0: never")
    keep_days: int | None = Field(default=None, ge=1, description="older files are removed; default: none ever")


class Registry(_Part):
    """The registry: fitted models, and which of them are in force (`headrace models`)."""

    url: str | None = Field(
        default=None,
        description="a folder, or `s3://bucket/prefix?endpoint_override=host:port&scheme=http&region=…`; default: "
        "none, and the shop's own model decides",
    )


def _split(words: str) -> tuple[str, ...]:
    """Words with commas between them, each once."""
    return tuple(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))


class Learner(_Part):
    """The label queue and the online models that learn from it (`headrace learn`)."""

    group: str = Field(default="headrace-learner", min_length=1, description="consumer group; one of it learns")
    models: str = Field(
        default="online_logistic,sessions", min_length=1, description="online models, several with commas"
    )
    mature_days: float = Field(
        default=120.0,
        ge=0,
        description="an order of this age that nobody calls fraud is good: so long chargebacks come",
    )
    follow_days: float = Field(
        default=180.0, gt=0, description="labels of an order older than this change nothing any more"
    )
    idle_s: float = Field(
        default=60.0, gt=0, description="a partition to which nothing has come for so long holds up no label"
    )
    snapshot_s: float = Field(
        default=600.0, gt=0, description="least time between two snapshots of a model in the registry"
    )
    snapshot_rows: int | None = Field(
        default=None, ge=1, description="also a snapshot after so many labels, whatever the time"
    )
    checkpoint_s: float = Field(
        default=600.0, gt=0, description="least time between two checkpoints of the label queue in the registry"
    )
    goods: float | None = Field(
        default=None, gt=0, le=1, description="share of good orders that is learned; default: the model's own"
    )
    columns: str | None = Field(
        default=None, description="columns of the vector that online models look at, with commas; default: all"
    )
    seed: int = Field(default=7, ge=0, description="of whatever is drawn by lot")

    @property
    def reads(self) -> tuple[str, ...] | None:
        """The columns; None: all."""
        return None if self.columns is None else _split(self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The models."""
        return _split(self.models)

    @property
    def mature_ms(self) -> int:
        return round(self.mature_days * 24 * HOUR_MS)

    @property
    def follow_ms(self) -> int:
        return round(self.follow_days * 24 * HOUR_MS)

    @model_validator(mode="after")
    def _in_turn(self) -> Learner:
        if self.follow_days < self.mature_days:
            raise ValueError(
                f"learner.follow_days {self.follow_days:g} is less than mature_days {self.mature_days:g}: an order is "
                "followed at least until it is mature"
            )
        return self


class Plan(_Part):
    """The shop that the store must hold: `headrace features budget` predicts it, `headrace doctor` looks at it."""

    users: float | None = Field(default=None, ge=1, description="accounts that there will be; default: not planned")
    orders_per_day: float | None = Field(default=None, ge=0, description="default: a tenth of the users")


class Retrain(_Part):
    """When a model is trained anew, on what, and what it takes (`headrace retrain`)."""

    model: str = Field(default="all", min_length=1, description="a kind, several with commas, or `all`")
    name: str = Field(default="shop", pattern="[a-z0-9][a-z0-9._-]*", description="of what comes out")
    days: float = Field(default=90.0, gt=0, description="of history that a set is made of, from the archive")
    mature_days: float = Field(
        default=30.0, ge=0, description="from this age on an order of which nothing is known is a good one"
    )
    behind_s: float = Field(default=3600.0, ge=0, description="so far behind the clock the archive may be")
    held_days: float = Field(default=7.0, ge=1, description="the newest days, on which champion and challenger meet")
    every_days: float = Field(default=7.0, gt=0, description="trigger: a champion, or the last run, is so old")
    new_frauds: int = Field(default=200, ge=1, description="trigger: so many have become known since")
    drift_share: float = Field(default=0.2, gt=0, le=1, description="trigger: this share of the columns moved much")
    least_orders: int = Field(default=2_000, ge=1, description="without so many labelled orders nothing is trained")
    least_frauds: int = Field(default=100, ge=1, description="without so many frauds nothing is trained")
    least_hours: float = Field(default=24.0, ge=0, description="between two runs, whatever the reason")
    look_s: float = Field(default=600.0, gt=0, description="`--watch` looks so often")
    limit_s: float | None = Field(
        default=None, gt=0, description="a run ends so soon with the best it has; default: none"
    )


class SchemaRegistry(_Part):
    """Whose schemas records name that are no plain JSON: Avro, or JSON behind a schema's id (extra `avro`)."""

    url: str | None = Field(
        default=None, description="what comes before /schemas/ids; default: none, and such records are dead letters"
    )
    username: str | None = Field(default=None, description="of the login, where it wants one")
    password: SecretStr | None = Field(default=None, description="of the login")
    ca_file: File | None = Field(default=None, description="certificates of the authority that signed the registry's")
    timeout_ms: int = Field(
        default=5_000, ge=100, description="no answer within this: it is asked again, and waited for"
    )

    @property
    def base(self) -> str:
        return (self.url or "").rstrip("/")

    @property
    def tls(self) -> bool:
        return urlsplit(self.base).scheme == "https"

    @property
    def shown(self) -> str:
        """The URL without a password, for messages."""
        return without_password(self.base)

    @model_validator(mode="after")
    def _whole(self) -> SchemaRegistry:
        if self.url is None:
            return self
        if urlsplit(self.url).scheme not in ("http", "https") or not _is_whole(self.url):
            raise ValueError("schema_registry.url (hidden) is not http://host:port/path, or https://: without a login")
        if urlsplit(self.url).username is not None:
            raise ValueError(
                "schema_registry.url (hidden) has a login in it: put it into HEADRACE_SCHEMA_REGISTRY__USERNAME and "
                "HEADRACE_SCHEMA_REGISTRY__PASSWORD"
            )
        if (self.username is None) != (self.password is None):
            raise ValueError("schema_registry.username and schema_registry.password go together: set both or neither")
        return self


class Serving(_Part):
    """The HTTP API and the live page (`headrace serve`)."""

    host: str = Field(default="127.0.0.1", min_length=1, description="0.0.0.0 where others may ask: with api_key")
    port: int = Field(default=8080, ge=0, le=65_535, description="0: any free port; the process says which")
    api_key: SecretStr | None = Field(
        default=None, min_length=16, description="what callers must send; needed unless host is this machine alone"
    )
    recent: int = Field(default=2_000, ge=10, le=100_000, description="decisions, and anomalies, that are in memory")

    @property
    def loopback(self) -> bool:
        """Whether only this machine can ask."""
        return self.host in ("127.0.0.1", "::1", "localhost")

    @model_validator(mode="after")
    def _guarded(self) -> Serving:
        if not self.loopback and self.api_key is None:
            raise ValueError(
                f"serving.host {self.host} lets others ask: set HEADRACE_SERVING__API_KEY (16 characters or more), or "
                "leave the host at 127.0.0.1"
            )
        return self


class Settings(BaseSettings):
    """Everything a process is told from outside."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    kafka: Kafka = Kafka()
    redis: Redis = Redis()
    limits: Limits = Limits()
    metrics: Metrics = Metrics()
    watchdog: Watchdog = Watchdog()
    archive: Archive = Archive()
    registry: Registry = Registry()
    schema_registry: SchemaRegistry = SchemaRegistry()
    learner: Learner = Learner()
    serving: Serving = Serving()
    retrain: Retrain = Retrain()
    plan: Plan = Plan()
    delivery: Literal["at-least-once", "exactly-once"] = Field(
        default="at-least-once", description="exactly-once: one Kafka transaction per range"
    )
    cloudevents: bool = Field(
        default=True, description="CloudEvents headers on `fraud` and `anomalies`: 174 bytes a record"
    )
    shards: int = Field(default=16, ge=1, le=1024, description="of the state space; pinned at first start")
    partitions: int = Field(default=4, ge=1, le=1000, description="of each input topic where headrace creates it")
    replicas: int = Field(default=1, ge=1, le=9, description="of each topic where headrace creates it")
    range_records: int = Field(default=2_000, ge=1, le=5_000, description="most records of one range")
    slot: int | None = Field(default=None, ge=0, description="static membership: a number of its own for each worker")
    base_currency: str = Field(default=DEFAULT_BASE, pattern="^[A-Z]{3}$", description="all amounts are summed in it")
    rates: dict[str, dict[str, float]] = Field(
        default_factory=lambda: {d: dict(r) for d, r in DEFAULT_RATES.items()},
        description="what a unit of each currency is worth, by the date from which it holds",
    )
    features: File | None = Field(default=None, description="a definitions file; default: the shop's own features")
    rules: File | None = Field(default=None, description="a TOML file of rules; default: the shop's own rules")
    model: File | None = Field(
        default=None,
        description="a folder with manifest.json and what it names: it decides, whatever the registry says; default: "
        "the registry's champion, else the shop's own",
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="of the log on standard error: text, or one JSON object a line"
    )
    data: File | None = Field(default=None, description="folder of data sets for replay, fit and figures")

    @cached_property
    def money(self) -> Rates:
        """The rate table in the base currency."""
        return Rates(self.base_currency, self.rates)

    @model_validator(mode="after")
    def _rates_fit(self) -> Settings:
        try:
            Rates(self.base_currency, self.rates)
        except RateError as error:
            raise ValueError(str(error)) from None
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic passes it by position
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments (the command line) before the environment, and nothing else: no .env file is read.

        Secrets in files are of the environment: the source has what they hold.
        """
        assert isinstance(env_settings, EnvSettingsSource)
        env_settings.env_vars = from_files(env_settings.env_vars, secrets())
        return init_settings, env_settings


def load(**overrides: Any) -> Settings:
    """The settings of this process: arguments of the command line over the environment over the defaults.

    Raises BadSettingsError with one line for each fault.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise BadSettingsError("\n".join(map(_line, error.errors(include_url=False)))) from None
    except SettingsError as error:
        raise BadSettingsError(_unparsed(error)) from None
    except SecretFileError as error:
        raise BadSettingsError(str(error)) from None


def unknown_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str | None]:
    """Variables with our prefix that no setting reads, each with the nearest name that one does: typing slips."""
    known = {*variables(), *(name + SUFFIX for name in secrets())}
    read = {name.upper() for name in environ if name.upper().startswith(PREFIX)} - NOT_SETTINGS
    slips = [name for name in sorted(read) if name not in known and name.split("__")[0] not in known]
    return {name: next(iter(get_close_matches(name, known, 1)), None) for name in slips}


def variables() -> dict[str, FieldInfo]:
    """Every variable that is read, by name, in the order of the settings; a part counts as one (a JSON object)."""
    found: dict[str, FieldInfo] = {}
    for name, field in Settings.model_fields.items():
        found[PREFIX + name.upper()] = field
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Part):
            found |= {f"{PREFIX}{name}__{inner}".upper(): part for inner, part in field.annotation.model_fields.items()}
    return found


def secrets() -> list[str]:
    """Those of the variables that hold a secret: each may name a file instead, with `_FILE` behind its name."""
    return [name for name, field in variables().items() if _is_secret(field)]


def _is_secret(field: FieldInfo) -> bool:
    return field.annotation is SecretStr or SecretStr in get_args(field.annotation)


def without_password(url: str) -> str:
    """A URL that may be shown: the login is replaced by dots, options (a password may be one) are left out."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"…@{host}" if "@" in parts.netloc else host, query="", fragment=""))


def _is_part(field: FieldInfo | None) -> bool:
    return field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, _Part)


def _line(fault: Mapping[str, Any]) -> str:
    """One fault of pydantic's as `VARIABLE value: what is wanted`."""
    at = [str(part) for part in fault["loc"]]
    levels = 2 if at and _is_part(Settings.model_fields.get(at[0])) else 1
    name = PREFIX + "__".join(at[:levels]).upper() if at else ""
    message = str(fault["msg"]).removeprefix("Value error, ")
    field = variables().get(name)
    if fault["type"] == "extra_forbidden":
        near = get_close_matches(name, variables(), 1)
        return f"{name}: no such setting" + (f": did you mean {near[0]}?" if near else "")
    if field is None or isinstance(fault["input"], dict | BaseModel):
        return message if not name else f"{name}: {message}"
    rest = ".".join(at[levels:])
    shown = "(hidden)" if _is_secret(field) else repr(fault["input"])
    where = f" at {rest}" if rest else ""
    return f"{name} {shown}{where}: {message}" + (f" ({field.description})" if field.description else "")


def _unparsed(error: SettingsError) -> str:
    """A value that should be JSON and is not; the library names the field between quotes."""
    quoted = str(error).split('"')
    name = PREFIX + quoted[1].upper() if len(quoted) > 1 else PREFIX
    example = """HEADRACE_RATES='{"2026-01-01": {"EUR": 1.0, "USD": 0.86}}'"""
    return f"{name} cannot be read: want a JSON object, such as {example}"
