"""Settings: what is accepted, and what the one line of a refusal says."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from scheduler_domain.domain.errors import ConfigurationError
from scheduler_domain.settings import Settings, masked

EXAMPLE = Path(__file__).parents[2] / ".env.example"
SECRET = "0123456789abcdef0123456789abcdef"
COMPLETE = {
    "POSTGRES_URL": "postgresql://app:hunter2@db:5432/scheduler",
    "NATS_URL": "nats://nats:4222",
    "JWT_SECRET": SECRET,
    "JWT_ISSUER": "https://issuer.example",
    "JWT_AUDIENCE": "scheduler",
}


def refusal(environ: Mapping[str, str]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment(environ)
    return str(caught.value)


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_environment({})
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 3080)
    assert settings.postgres_url is None
    assert settings.dispatcher.lease == timedelta(seconds=15)
    assert settings.dispatcher.lookahead == timedelta(seconds=60)
    assert settings.dispatcher.shutdown_grace == timedelta(seconds=25)
    assert settings.dispatcher.concurrency is None
    assert settings.api_rate_limit is None
    assert (settings.webhook.allow_nets, settings.webhook.allow_http) == ("", False)


def test_an_empty_value_counts_as_not_set() -> None:
    empty = dict.fromkeys(variables_read(), "")
    assert Settings.from_environment(empty) == Settings.from_environment({})


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("PORT", "abc", "a whole number from 0 to 65535"),
        ("PORT", "65536", "a whole number from 0 to 65535"),
        ("PORT", "8080.5", "a whole number from 0 to 65535"),
        ("DISPATCHER_PORT", "-1", "a whole number from 0 to 65535"),
        ("DISPATCHER_CONCURRENCY", "0", "a whole number from 1 to 100000"),
        ("DISPATCHER_LEASE_SEC", "nan", "a number of seconds from 4 to 3600"),
        ("DISPATCHER_LEASE_SEC", "15s", "a number of seconds from 4 to 3600"),
        ("DISPATCHER_LEASE_SEC", "3.9", "a number of seconds from 4 to 3600"),
        ("DISPATCHER_LOOKAHEAD_SEC", "1", "a number of seconds from 5 to 3600"),
        ("LEDGER_RETENTION_DAYS", "0", "a whole number of days from 1 to 36500, or off"),
        ("LEDGER_RETENTION_DAYS", "1.5", "a whole number of days from 1 to 36500, or off"),
        ("SHUTDOWN_GRACE_SEC", "inf", "a number of seconds from 0 to 600"),
        ("NATS_REPLICAS", "0", "a whole number from 1 to 5"),
        ("LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("LOG_FORMAT", "xml", "one of json, console"),
        ("WEBHOOK_ALLOW_HTTP", "yes", "true or false"),
        ("JWT_ALLOW_ANY_AUDIENCE", "1", "true or false"),
        ("API_RATE_LIMIT", "many", "or off"),
        ("POSTGRES_URL", "postgresql://db:port/scheduler", "an address such as postgresql://"),
        ("NATS_URL", "localhost:4222", "an address such as nats://host:4222"),
        ("REDIS_URL", "redis://", "an address such as redis://host:6379/0"),
        ("JWKS_URL", "http://issuer.example/keys", "an address such as https://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://collector", "an address such as http://host:4318"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_variable_value_and_what_is_accepted(
    name: str, value: str, accepted: str
) -> None:
    message = refusal({name: value})
    assert message.startswith(f"{name}={value}: ")
    assert accepted in message
    assert "\n" not in message


def test_the_networks_that_webhooks_may_reach_are_read_at_the_start() -> None:
    assert "10.1.0.0/99" in refusal({"WEBHOOK_ALLOW_NETS": "127.0.0.0/8,10.1.0.0/99"})


def test_a_line_break_in_a_value_does_not_break_the_message() -> None:
    assert "\n" not in refusal({"PORT": "80\nInjected: line"})


@pytest.mark.parametrize(
    "url",
    ["mysql://app:hunter2@db/x", "mysql://app:hun/ter2@db/x", "mysql://hunter2@db/x", "mysql://db/x?password=hunter2"],
)
def test_the_refusal_of_an_address_hides_its_password(url: str) -> None:
    message = refusal({"POSTGRES_URL": url})
    assert "ter2" not in message
    assert "***" in message


def test_masking_keeps_what_helps_to_find_the_mistake() -> None:
    assert masked("postgresql://app:hunter2@db:5432/x") == "postgresql://app:***@db:5432/x"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:hunter2@db:5432/scheduler",
        "postgres://app@db/scheduler",
        "postgresql+asyncpg://app@db/scheduler",
        "postgresql://app@first:5432,second:5433/scheduler?target_session_attrs=primary",
        "postgresql:///scheduler?host=/run/postgresql",
    ],
)
def test_the_usual_forms_of_a_postgresql_address_are_accepted(url: str) -> None:
    assert Settings.from_environment({"POSTGRES_URL": url}).required_postgres_url() == url


def test_a_nats_cluster_is_named_by_its_addresses_joined_by_commas() -> None:
    url = "nats://app:hunter2@first:4222,nats://app:hunter2@[::1]:4222"
    assert Settings.from_environment({"NATS_URL": url}).required_nats_url() == url


def test_secrets_and_addresses_stay_out_of_repr() -> None:
    shown = repr(Settings.from_environment(COMPLETE))
    assert SECRET not in shown
    assert "hunter2" not in shown


class TestIdentity:
    def test_a_secret_of_31_bytes_is_refused_without_being_shown(self) -> None:
        message = refusal({"JWT_SECRET": SECRET[:31]})
        assert message.startswith("JWT_SECRET=*** has 31 bytes: 32 random bytes or more")
        assert SECRET[:31] not in message

    def test_the_length_of_a_secret_is_counted_in_bytes(self) -> None:
        assert Settings.from_environment({"JWT_SECRET": "ü" * 16}).identity.jwt_secret == "ü" * 16

    @pytest.mark.parametrize(
        "key",
        [
            "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8mZ4 someone",
            "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY",
            '{"kty": "RSA", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx", "e": "AQAB"}',
        ],
    )
    def test_a_key_is_not_a_secret(self, key: str) -> None:
        assert refusal({"JWT_SECRET": key}).startswith("JWT_SECRET=*** is a PEM, JWK or SSH key")

    def test_two_ways_to_sign_are_one_too_many(self) -> None:
        message = refusal({"JWKS_URL": "https://issuer.example/keys", "JWT_SECRET": SECRET})
        assert "JWKS_URL=https://issuer.example/keys and JWT_SECRET=*** are both set" in message


class TestStartingRules:
    def test_a_complete_environment_can_serve_and_dispatch(self) -> None:
        settings = Settings.from_environment(COMPLETE)
        settings.check_serving()
        settings.check_dispatching()

    def test_without_a_database_both_name_scheduler_dev(self) -> None:
        settings = replace(Settings.from_environment(COMPLETE), postgres_url=None)
        for check in (settings.check_serving, settings.check_dispatching):
            with pytest.raises(ConfigurationError, match=r"^POSTGRES_URL is not set: .*`scheduler dev`"):
                check()

    @pytest.mark.parametrize("missing", ["JWT_SECRET", "JWT_ISSUER", "JWT_AUDIENCE"])
    def test_an_api_does_not_start_with_half_an_identity(self, missing: str) -> None:
        incomplete = {name: value for name, value in COMPLETE.items() if name != missing}
        with pytest.raises(ConfigurationError, match=missing):
            Settings.from_environment(incomplete).check_serving()

    def test_any_audience_must_be_asked_for(self) -> None:
        bare = {name: COMPLETE[name] for name in ("POSTGRES_URL", "JWT_SECRET")}
        Settings.from_environment({**bare, "JWT_ALLOW_ANY_AUDIENCE": "true"}).check_serving()

    def test_a_dispatcher_needs_no_token_settings(self) -> None:
        Settings.from_environment({name: COMPLETE[name] for name in ("POSTGRES_URL", "NATS_URL")}).check_dispatching()


class TestEnvExample:
    def test_it_lists_exactly_the_variables_that_are_read(self) -> None:
        assert set(example_variables()) == variables_read()

    def test_each_variable_has_one_line_of_explanation_above_it(self) -> None:
        lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
        assert [line for above, line in pairwise(lines) if line[:1].isalpha() and above[:2] != "# "] == []

    def test_the_values_it_shows_are_the_defaults(self) -> None:
        assert Settings.from_environment(example_variables()) == Settings.from_environment({})


class RecordingEnvironment(Mapping[str, str]):
    """An empty environment that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def variables_read() -> set[str]:
    environ = RecordingEnvironment()
    Settings.from_environment(environ)
    return environ.asked


def example_variables() -> dict[str, str]:
    return dict(_assignments(EXAMPLE.read_text(encoding="utf-8")))


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    for match in re.finditer(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE):
        yield match[1], match[2]


def test_the_ledger_is_kept_for_ninety_days_unless_something_else_is_said() -> None:
    def retention(**variables: str) -> timedelta | None:
        return Settings.from_environment(variables).dispatcher.ledger_retention

    assert retention() == timedelta(days=90)
    assert retention(LEDGER_RETENTION_DAYS="400") == timedelta(days=400)
    assert retention(LEDGER_RETENTION_DAYS="OFF") is None
