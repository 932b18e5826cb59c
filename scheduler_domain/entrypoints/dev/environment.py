"""What `scheduler dev` tells its children: the environment it was given, completed.

Whatever the environment names is used as it is; only what is missing is filled in. For the two webhook settings even an
empty value counts as named, so that a stricter policy can be tried on a developer's machine too.
"""

from collections.abc import Mapping

TENANT = "demo"
ISSUER = "scheduler-dev"
LOOPBACK = "127.0.0.0/8,::1/128"

# Each embedded server, by the variable that would name another one in its place.
EMBEDDED = {"POSTGRES_URL": "postgres", "NATS_URL": "nats", "REDIS_URL": "valkey"}


def is_named(environ: Mapping[str, str], name: str) -> bool:
    return bool(environ.get(name, "").strip())


def completed(
    environ: Mapping[str, str], *, servers: Mapping[str, str], port: int, dispatcher_port: int, jwt_secret: str
) -> dict[str, str]:
    """Return the variables that differ from `environ`; `servers` holds the addresses of the embedded ones."""
    defaults = dict(servers) | {"DISPATCHER_PORT": str(dispatcher_port), "LOG_FORMAT": "console"}
    if not is_named(environ, "JWKS_URL"):
        defaults |= {"JWT_SECRET": jwt_secret, "JWT_ISSUER": ISSUER, "JWT_AUDIENCE": ISSUER}
    missing = {name: value for name, value in defaults.items() if not is_named(environ, name)}
    webhooks = {"WEBHOOK_ALLOW_NETS": LOOPBACK, "WEBHOOK_ALLOW_HTTP": "true"}
    unmentioned = {name: value for name, value in webhooks.items() if name not in environ}
    return missing | unmentioned | {"PORT": str(port)}


def reachable(host: str) -> str:
    """Return the address under which this machine reaches what listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound


def url_of(host: str, port: int) -> str:
    """
    >>> url_of("::", 3080)
    'http://[::1]:3080'
    """
    address = reachable(host)
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
