"""What `scheduler dev` fills in, and what it leaves as the environment says."""

import pytest

from scheduler_domain.entrypoints.dev.environment import completed, url_of
from scheduler_domain.settings import Settings

SERVERS = {
    "POSTGRES_URL": "postgresql://own@127.0.0.1/scheduler",
    "NATS_URL": "nats://127.0.0.1:4222",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
}
SECRET = "0123456789abcdef0123456789abcdef"


def settings(**environ: str) -> Settings:
    added = completed(environ, servers=SERVERS, port=3080, dispatcher_port=3081, jwt_secret=SECRET)
    return Settings.from_environment({**environ, **added})


def test_with_an_empty_environment_everything_is_its_own() -> None:
    found = settings()
    found.check_serving()
    found.check_dispatching()
    assert found.postgres_url == SERVERS["POSTGRES_URL"]
    assert found.identity.jwt_secret == SECRET
    assert found.dispatcher.port == 3081
    assert found.log.format == "console"


@pytest.mark.parametrize("name", ["POSTGRES_URL", "NATS_URL", "REDIS_URL"])
def test_a_server_that_the_environment_names_is_used(name: str) -> None:
    other = SERVERS[name].replace("127.0.0.1", "elsewhere")
    assert getattr(settings(**{name: other}), name.lower()) == other


def test_a_named_secret_issuer_and_audience_are_used() -> None:
    identity = settings(JWT_SECRET="x" * 32, JWT_ISSUER="i", JWT_AUDIENCE="a").identity
    assert (identity.jwt_secret, identity.issuer, identity.audience) == ("x" * 32, "i", "a")


def test_an_identity_provider_is_not_joined_by_a_secret_or_a_guessed_audience() -> None:
    identity = settings(JWKS_URL="https://issuer.example/keys").identity
    assert (identity.jwt_secret, identity.issuer, identity.audience) == (None, None, None)


def test_webhooks_may_reach_loopback_in_the_clear() -> None:
    webhook = settings().webhook
    assert (webhook.allow_nets, webhook.allow_http) == ("127.0.0.0/8,::1/128", True)


def test_even_an_empty_webhook_policy_wins() -> None:
    webhook = settings(WEBHOOK_ALLOW_NETS="", WEBHOOK_ALLOW_HTTP="").webhook
    assert (webhook.allow_nets, webhook.allow_http) == ("", False)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:3080"),
        ("0.0.0.0", "http://127.0.0.1:3080"),  # noqa: S104  # printed, not bound
        ("::", "http://[::1]:3080"),
        ("::1", "http://[::1]:3080"),
        ("localhost", "http://localhost:3080"),
    ],
)
def test_the_printed_address_is_one_that_can_be_called(host: str, url: str) -> None:
    assert url_of(host, 3080) == url
