"""Settings: every variable is read, every slip is named, no secret is shown."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.secretfiles import SUFFIX
from schemas.settings import (
    BadSettingsError,
    Settings,
    load,
    secrets,
    unknown_variables,
    variables,
    without_password,
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("HEADRACE_"):
            monkeypatch.delenv(name)


def refused(monkeypatch: pytest.MonkeyPatch, **environ: str) -> str:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadSettingsError) as raised:
        load()
    return str(raised.value)


def test_nothing_has_to_be_set() -> None:
    settings = load()
    assert (settings.shards, settings.partitions, settings.delivery) == (16, 4, "at-least-once")
    assert settings.kafka.bootstrap == ["127.0.0.1:9092"]
    assert settings.limits.late_ms == 30 * 86_400_000
    assert settings.money.base == "EUR"


def test_the_environment_reaches_every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_KAFKA__BROKERS", "a:1, b:2")
    monkeypatch.setenv("HEADRACE_REDIS__URL", "rediss://u:p@store:6380/1")
    monkeypatch.setenv("HEADRACE_DELIVERY", "exactly-once")
    monkeypatch.setenv("HEADRACE_BASE_CURRENCY", "USD")
    monkeypatch.setenv("HEADRACE_RATES", json.dumps({"2026-01-01": {"USD": 1, "EUR": 1.25}}))
    settings = load()
    assert settings.kafka.bootstrap == ["a:1", "b:2"]
    assert settings.redis.url.get_secret_value() == "rediss://u:p@store:6380/1"
    assert settings.redis.tls
    assert settings.delivery == "exactly-once"
    assert settings.money.rate("EUR", 0) == 1.25


def test_the_command_line_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_SLOT", "3")
    assert load().slot == 3
    assert load(slot=4).slot == 4


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load().shards = 3
    with pytest.raises(ValidationError, match="frozen"):
        load().kafka.brokers = "x"


def test_no_env_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HEADRACE_SHARDS=3")
    monkeypatch.chdir(tmp_path)
    assert load().shards == 16


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("HEADRACE_SHARDS", "0", "HEADRACE_SHARDS '0': Input should be greater than or equal to 1"),
        ("HEADRACE_DELIVERY", "maybe", "HEADRACE_DELIVERY 'maybe': Input should be 'at-least-once' or 'exactly-once'"),
        ("HEADRACE_KAFKA__SESSION_TIMEOUT_MS", "soon", "HEADRACE_KAFKA__SESSION_TIMEOUT_MS 'soon': "),
        ("HEADRACE_KAFKA__BROKER", "a:1", "no such setting: did you mean HEADRACE_KAFKA__BROKERS?"),
        ("HEADRACE_KAFKA__BROKERS", " , ", "want host:port"),
        ("HEADRACE_REDIS__URL", "http://u:geheim@b", "has scheme 'http': want redis:// or, with TLS, rediss://"),
        ("HEADRACE_REDIS__CA_FILE", "/none", "HEADRACE_REDIS__CA_FILE '/none': no such file"),
        ("HEADRACE_MODEL", "/none", "HEADRACE_MODEL '/none': no such file"),
        ("HEADRACE_BASE_CURRENCY", "eur", "HEADRACE_BASE_CURRENCY 'eur': "),
        ("HEADRACE_BASE_CURRENCY", "XXX", "base currency 'XXX' is missing"),
        ("HEADRACE_RATES", "{", "HEADRACE_RATES cannot be read: want a JSON object"),
        ("HEADRACE_RATES", '{"2026-01-01": {"EUR": "x"}}', "HEADRACE_RATES 'x' at 2026-01-01.EUR: "),
        ("HEADRACE_RATES", '{"2026-01-01": {"USD": 1}}', "base currency 'EUR' is missing"),
        ("HEADRACE_KAFKA__SECURITY_PROTOCOL", "SASL_SSL", "set HEADRACE_KAFKA__USERNAME and HEADRACE_KAFKA__PASSWORD"),
        ("HEADRACE_KAFKA__CERT_FILE", __file__, "kafka.cert_file and kafka.key_file go together"),
        ("HEADRACE_KAFKA", "3", "HEADRACE_KAFKA"),
    ],
)
def test_an_error_names_the_variable_the_value_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    assert message in refused(monkeypatch, **{name: value})


def test_every_fault_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(monkeypatch, HEADRACE_SHARDS="0", HEADRACE_PARTITIONS="x", HEADRACE_METRICS__PORT="70000")
    assert [line.split()[0] for line in text.splitlines()] == [
        "HEADRACE_METRICS__PORT",
        "HEADRACE_SHARDS",
        "HEADRACE_PARTITIONS",
    ]


def test_no_secret_is_ever_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "HEADRACE_KAFKA__PASSWORD": "geheim",
        "HEADRACE_KAFKA__USERNAME": "u",
        "HEADRACE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "HEADRACE_KAFKA__KEY_PASSWORD": "geheim",
        "HEADRACE_REDIS__URL": "redis://u:geheim@store:6379/0",
        "HEADRACE_REDIS__PASSWORD": "geheim",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert "geheim" not in f"{settings!r} {settings} {settings.redis.shown} {settings.model_dump_json()}"
    assert settings.redis.shown == "redis://…@store:6379/0"
    assert "geheim" not in refused(monkeypatch, HEADRACE_REDIS__URL="http://geheim", HEADRACE_SHARDS="0")


def test_each_secret_may_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number, name in enumerate(secrets()):
        (tmp_path / name).write_bytes(b"redis://store:1/0" if name.endswith("URL") else b"geheim und lang %d" % number)
        monkeypatch.setenv(name + SUFFIX, str(tmp_path / name))
    settings = load()
    assert len(secrets()) >= 5
    for name in secrets():
        part, field = name.removeprefix("HEADRACE_").lower().split("__")
        held = getattr(getattr(settings, part), field)
        assert held.get_secret_value() == (tmp_path / name).read_text()
    assert "geheim" not in f"{settings!r} {settings.model_dump_json()}"


@pytest.mark.parametrize("written", [b"geheim", b"geheim\n", b"geheim\r\n"])
def test_the_end_of_a_line_is_no_part_of_a_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: bytes
) -> None:
    (tmp_path / "secret").write_bytes(written)
    monkeypatch.setenv("HEADRACE_REDIS__PASSWORD_FILE", str(tmp_path / "secret"))
    held = load().redis.password
    assert held is not None
    assert held.get_secret_value() == "geheim"


def test_a_secret_file_that_cannot_be_used_is_told_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"geheim\xff")
    for name, why in (("none", "cannot be read"), ("", "cannot be read"), ("empty", "is empty"), ("binary", "no text")):
        told = refused(monkeypatch, HEADRACE_REDIS__PASSWORD_FILE=str(tmp_path / name))
        assert told.startswith("HEADRACE_REDIS__PASSWORD_FILE ")
        assert str(tmp_path / name) in told
        assert why in told
        assert "geheim" not in told


def test_a_secret_and_its_file_are_not_both_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("geheim")
    told = refused(
        monkeypatch,
        HEADRACE_REDIS__PASSWORD="geheim",
        HEADRACE_REDIS__PASSWORD_FILE=str(tmp_path / "secret"),
        HEADRACE_SERVING__API_KEY_FILE=str(tmp_path / "none"),
    )
    assert [line.split()[0] for line in told.splitlines()] == [
        "HEADRACE_REDIS__PASSWORD",
        "HEADRACE_SERVING__API_KEY_FILE",
    ]
    assert "are both set: leave one of them out" in told
    assert "geheim" not in told


def test_a_fault_of_what_a_file_holds_shows_none_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("geheim")
    told = refused(monkeypatch, HEADRACE_SERVING__API_KEY_FILE=str(tmp_path / "secret"))
    assert told.startswith("HEADRACE_SERVING__API_KEY (hidden): ")
    assert "at least 16" in told


def test_no_setting_has_the_name_of_a_secrets_file() -> None:
    assert not {name + SUFFIX for name in secrets()} & variables().keys()


def test_a_secrets_file_is_no_slip() -> None:
    assert unknown_variables({"HEADRACE_REDIS__PASSWORD_FILE": "x", "HEADRACE_SHARDS_FILE": "x"}).keys() == {
        "HEADRACE_SHARDS_FILE"
    }


def test_a_slip_at_the_first_level_is_found() -> None:
    environ = {"HEADRACE_SHARD": "3", "HEADRACE_REQUIRE": "java", "HEADRACE_KAFKA__BROKERS": "a:1", "PATH": "x"}
    assert unknown_variables(environ) == {"HEADRACE_SHARD": "HEADRACE_SHARDS"}


def test_every_variable_is_known_by_name() -> None:
    assert {"HEADRACE_KAFKA__BROKERS", "HEADRACE_REDIS__URL", "HEADRACE_DELIVERY", "HEADRACE_DATA"} <= set(variables())
    assert len(variables()) > len(Settings.model_fields)


def test_a_url_without_a_login_is_shown_as_it_is() -> None:
    assert without_password("redis://store:6379/0") == "redis://store:6379/0"


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:gehe/im@store:6379/0",
        "redis://u:gehe#im@store:6379/0",
        "redis://u:gehe?im@store:6379",
        "redis://store:geheim/0",
        "redis://[geheim",
        "geheim",
        "redis://",
    ],
)
def test_a_url_that_its_password_breaks_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    told = refused(monkeypatch, HEADRACE_REDIS__URL=url)
    assert "gehe" not in told
    assert "im@" not in told
    assert "redis" in told


def test_options_of_a_url_are_not_shown() -> None:
    assert without_password("redis://store:6379/0?password=geheim") == "redis://store:6379/0"
