"""The environment, read once and turned into values that cannot be wrong.

Without this file each part would read its own variables, late, and a misspelt one would show as a failed delivery
instead of a process that says at its start what it wants. Every refusal is one line: variable, value, what is accepted.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Self, TypeVar
from urllib.parse import urlsplit

from scheduler_domain.domain import lease
from scheduler_domain.domain.address_guard import AllowedNets
from scheduler_domain.domain.errors import ConfigurationError

_SHORTEST_SECRET = 32  # bytes: RFC 7518 section 3.2 asks for a key as long as the hash
_KEY_PREFIXES = ("ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-")
_CREDENTIALS = re.compile(r"(\w[\w+]*://)(?:([^/:@]*):)?(.*)@", re.DOTALL)
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\s\[\]]*)(:[0-9]{1,5})?")
_BETWEEN_ADDRESSES = re.compile(r",\s*(?=\w+://)")
_PASSWORD_PARAMETER = re.compile(r"(?<=[?&]password=)[^&]*")

Value = TypeVar("Value")
Word = TypeVar("Word", bound=str)
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """How the API tells who is asking: by keys fetched from `jwks_url` or by the shared `jwt_secret`, never by both."""

    jwks_url: str | None
    jwt_secret: str | None = field(repr=False)
    issuer: str | None
    audience: str | None
    allow_any_audience: bool
    tenant_claim: str
    roles_claim: str

    def check_complete(self) -> None:
        """Refuse to go on where tokens could not be verified, or a token for another service would be accepted."""
        if self.jwks_url is None and self.jwt_secret is None:
            raise ConfigurationError(
                "JWKS_URL and JWT_SECRET are not set: set JWKS_URL to your identity provider's https key set, "
                f"or JWT_SECRET to {_SHORTEST_SECRET} random bytes or more"
            )
        for name, value in (("JWT_ISSUER", self.issuer), ("JWT_AUDIENCE", self.audience)):
            if value is None and not self.allow_any_audience:
                raise ConfigurationError(
                    f"{name} is not set: name what a token's {name[4:].lower()} must be, "
                    "or set JWT_ALLOW_ANY_AUDIENCE=true to accept tokens made for other services"
                )


@dataclass(frozen=True, slots=True)
class LogSettings:
    level: Literal["debug", "info", "warning", "error"]
    format: Literal["json", "console"]


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """`allow_nets` is the raw list of CIDR[:port]; domain/address_guard.py gives it its meaning."""

    allow_nets: str
    allow_http: bool


@dataclass(frozen=True, slots=True)
class DispatcherSettings:
    """`concurrency` is the most webhooks in flight, None for the dispatcher's own number (`bootstrap/dispatcher.py`).

    `port` serves health and metrics; `ledger_retention` None keeps the ledger for ever.
    """

    concurrency: int | None
    lease: timedelta
    lookahead: timedelta
    shutdown_grace: timedelta
    port: int
    ledger_retention: timedelta | None


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    otlp_endpoint: str | None
    service_name: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a process is told from outside. Addresses stay out of `repr`, since they carry passwords."""

    postgres_url: str | None = field(repr=False)
    nats_url: str | None = field(repr=False)
    nats_replicas: int
    redis_url: str | None = field(repr=False)
    http: HttpSettings
    identity: IdentitySettings
    log: LogSettings
    webhook: WebhookSettings
    dispatcher: DispatcherSettings
    api_rate_limit: float | None
    telemetry: TelemetrySettings

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read every variable, an empty one as if it were not there; ConfigurationError names the first bad value.

        What is missing is no error here: which variables a process needs is asked by `check_serving` and
        `check_dispatching`.
        """
        variables = _Variables(environ)
        return cls(
            postgres_url=variables.address("POSTGRES_URL", "postgresql://user:password@host:5432/database"),
            nats_url=variables.address("NATS_URL", "nats://host:4222", "tls"),
            nats_replicas=variables.whole("NATS_REPLICAS", 1, 1, 5),
            redis_url=variables.address("REDIS_URL", "redis://host:6379/0", "rediss", "unix"),
            http=HttpSettings(variables.text("HOST", "127.0.0.1"), variables.whole("PORT", 3080, 0, 65_535)),
            identity=_identity(variables),
            log=LogSettings(
                variables.choice("LOG_LEVEL", "info", ("debug", "info", "warning", "error")),
                variables.choice("LOG_FORMAT", "json", ("json", "console")),
            ),
            webhook=_webhook(variables),
            dispatcher=_dispatcher(variables),
            api_rate_limit=variables.rate("API_RATE_LIMIT"),
            telemetry=TelemetrySettings(
                variables.address("OTEL_EXPORTER_OTLP_ENDPOINT", "http://host:4318", "https"),
                variables.text("OTEL_SERVICE_NAME", "scheduler-domain"),
            ),
        )

    def required_postgres_url(self) -> str:
        """Return POSTGRES_URL, or say how to get a database."""
        if self.postgres_url is None:
            raise ConfigurationError(
                "POSTGRES_URL is not set: name a database such as postgresql://user:password@host:5432/database, "
                "or run `scheduler dev`, which brings its own"
            )
        return self.postgres_url

    def required_nats_url(self) -> str:
        if self.nats_url is None:
            raise ConfigurationError(
                "NATS_URL is not set: name a NATS server with JetStream such as nats://host:4222, "
                "or run `scheduler dev`, which brings its own"
            )
        return self.nats_url

    def check_serving(self) -> None:
        """Raise ConfigurationError unless an API can run on these settings."""
        self.required_postgres_url()
        self.identity.check_complete()

    def check_dispatching(self) -> None:
        """Raise ConfigurationError unless a dispatcher can run on these settings; it verifies no tokens."""
        self.required_postgres_url()
        self.required_nats_url()


def masked(value: str) -> str:
    """Return the value on one line and with an address's password or token hidden, fit for an error message or a log.

    >>> masked("postgresql://app:hunter2@db:5432/scheduler")
    'postgresql://app:***@db:5432/scheduler'
    >>> masked("nats://token@nats:4222")
    'nats://***@nats:4222'
    """
    hidden = _CREDENTIALS.sub(_without_password, value)
    return _PASSWORD_PARAMETER.sub("***", hidden).encode("unicode_escape").decode()


def _without_password(match: re.Match[str]) -> str:
    scheme, user = match[1], match[2]
    if user is not None:
        return f"{scheme}{user}:***@"
    # What stands alone before the @ is a user for PostgreSQL, but a token for NATS.
    return match[0] if scheme.startswith("postgres") else f"{scheme}***@"


def _identity(variables: "_Variables") -> IdentitySettings:
    jwks_url = variables.address("JWKS_URL", "https://issuer.example/.well-known/jwks.json")
    jwt_secret = variables.secret("JWT_SECRET")
    if jwks_url is not None and jwt_secret is not None:
        raise ConfigurationError(
            f"JWKS_URL={masked(jwks_url)} and JWT_SECRET=*** are both set: keep one of them, "
            "since two ways to sign would let the weaker one forge the other"
        )
    return IdentitySettings(
        jwks_url=jwks_url,
        jwt_secret=jwt_secret,
        issuer=variables.text("JWT_ISSUER", "") or None,
        audience=variables.text("JWT_AUDIENCE", "") or None,
        allow_any_audience=variables.flag("JWT_ALLOW_ANY_AUDIENCE", default=False),
        tenant_claim=variables.text("JWT_TENANT_CLAIM", "tenant_id"),
        roles_claim=variables.text("JWT_ROLES_CLAIM", "roles"),
    )


def _webhook(variables: "_Variables") -> WebhookSettings:
    allow_nets = variables.text("WEBHOOK_ALLOW_NETS", "")
    AllowedNets.parse(allow_nets)  # refused at the start, not at the first delivery
    return WebhookSettings(allow_nets, variables.flag("WEBHOOK_ALLOW_HTTP", default=False))


def _dispatcher(variables: "_Variables") -> DispatcherSettings:
    return DispatcherSettings(
        concurrency=variables.whole("DISPATCHER_CONCURRENCY", 0, 1, 100_000) or None,
        lease=variables.seconds("DISPATCHER_LEASE_SEC", 15, lease.SHORTEST // timedelta(seconds=1), 3_600),
        lookahead=variables.seconds("DISPATCHER_LOOKAHEAD_SEC", 60, 5, 3_600),
        shutdown_grace=variables.seconds("SHUTDOWN_GRACE_SEC", 25, 0, 600),
        port=variables.whole("DISPATCHER_PORT", 3081, 0, 65_535),
        ledger_retention=variables.days("LEDGER_RETENTION_DAYS", 90, 1, 36_500),
    )


class _Variables:
    """Reads one variable at a time; each method refuses what it cannot accept in a single line."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str, default: str) -> str:
        return self._environ.get(name, "").strip() or default

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        accepted = f"a whole number from {least} to {most}"
        return self._parsed(name, default, accepted, lambda text: _within(int(text), least, most))

    def seconds(self, name: str, default: float, least: float, most: float) -> timedelta:
        accepted = f"a number of seconds from {least} to {most}"
        return self._parsed(
            name,
            timedelta(seconds=default),
            accepted,
            lambda text: timedelta(seconds=_within(float(text), least, most)),
        )

    def days(self, name: str, default: int, least: int, most: int) -> timedelta | None:
        usual: timedelta | None = timedelta(days=default)
        return self._parsed(
            name,
            usual,
            f"a whole number of days from {least} to {most}, or off",
            lambda text: _days_or_off(text, least, most),
        )

    def rate(self, name: str) -> float | None:
        accepted = "requests per second and tenant, a number from 0.1 to 1000000, or off"
        return self._parsed(
            name, None, accepted, lambda text: None if text.lower() == "off" else _within(float(text), 0.1, 1e6)
        )

    def choice(self, name: str, default: Word, choices: tuple[Word, ...]) -> Word:
        return self._parsed(name, default, "one of " + ", ".join(choices), lambda text: _one_of(text.lower(), choices))

    def flag(self, name: str, *, default: bool) -> bool:
        words = ("true", "false")
        return self._parsed(name, default, "true or false", lambda text: _one_of(text.lower(), words) == "true")

    def address(self, name: str, example: str, *also: str) -> str | None:
        """Read a URL whose scheme is the example's or one of `also`; `postgres` and a driver suffix count too."""
        schemes = (example.partition(":")[0], *also)
        accepted = f"an address such as {example}"

        def parse(text: str) -> str:
            for address in _BETWEEN_ADDRESSES.split(text):
                _check_address(address, schemes)
            return text

        return self._parsed(name, None, accepted, parse)

    def secret(self, name: str) -> str | None:
        """Read a shared secret; its value never shows, not even in the refusal."""
        value = self._environ.get(name, "")
        if not value:
            return None
        if _looks_like_a_key(value):
            raise ConfigurationError(
                f"{name}=*** is a PEM, JWK or SSH key: a shared secret is wanted, {_SHORTEST_SECRET} random bytes or "
                "more; a public key belongs behind JWKS_URL"
            )
        size = len(value.encode())
        if size < _SHORTEST_SECRET:
            raise ConfigurationError(
                f"{name}=*** has {size} bytes: {_SHORTEST_SECRET} random bytes or more are accepted, "
                "for example from `openssl rand -base64 48`"
            )
        return value

    def _parsed(self, name: str, default: Value, accepted: str, parse: Callable[[str], Value]) -> Value:
        value = self._environ.get(name, "").strip()
        if not value:
            return default
        try:
            return parse(value)
        except ValueError:
            raise ConfigurationError(f"{name}={masked(value)}: {accepted} is accepted") from None


def _days_or_off(text: str, least: int, most: int) -> timedelta | None:
    return None if text.lower() == "off" else timedelta(days=_within(int(text), least, most))


def _within(number: Number, least: float, most: float) -> Number:
    if not least <= number <= most:  # also refuses NaN
        raise ValueError(number)
    return number


def _one_of(text: str, words: tuple[Word, ...]) -> Word:
    for word in words:
        if text == word:
            return word
    raise ValueError(text)


def _check_address(address: str, schemes: tuple[str, ...]) -> None:
    """Raise ValueError unless drivers can make something of the address; one address may name several hosts."""
    parts = urlsplit(address)
    scheme = _one_of(re.sub(r"^postgres(ql)?(\+\w+)?$", "postgresql", parts.scheme), schemes)
    hosts = parts.netloc.rpartition("@")[2]
    if not hosts and scheme not in {"unix", "postgresql"}:
        raise ValueError(address)
    if not all(map(_HOST_AND_PORT.fullmatch, hosts.split(","))):
        raise ValueError(address)


def _looks_like_a_key(value: str) -> bool:
    """Tell a key from a secret: whoever knows a public key could sign with it as if it were secret (RFC 8725, 3.1)."""
    if "-----BEGIN" in value or value.lstrip().startswith(_KEY_PREFIXES):
        return True
    try:
        parsed = json.loads(value)
    except ValueError:
        return False
    return isinstance(parsed, dict)
