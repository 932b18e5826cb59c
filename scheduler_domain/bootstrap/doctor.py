"""Composes the examination of an installation: which server is looked at, and by what."""

from functools import partial

from scheduler_domain.application.examine_installation import Finding, examine_installation
from scheduler_domain.application.ports.inspection import TzdataFacts
from scheduler_domain.infra.nats.inspection import inspect_nats
from scheduler_domain.infra.postgres.inspection import inspect_postgres, inspect_tzdata
from scheduler_domain.infra.redis.inspection import inspect_cache
from scheduler_domain.settings import Settings


async def examine_tzdata(settings: Settings, running: str, most_moves: int) -> TzdataFacts:
    """Return how far the tz database is followed in the installation that the settings name. Raises Unavailable."""
    return await inspect_tzdata(settings.required_postgres_url(), running, most_moves)


async def examine(settings: Settings) -> list[Finding]:
    """Look at every server that the settings name, all at once; bounded by a few seconds."""
    postgres_url, nats_url, redis_url = settings.postgres_url, settings.nats_url, settings.redis_url
    return await examine_installation(
        postgres=None if postgres_url is None else partial(inspect_postgres, postgres_url),
        nats=None if nats_url is None else partial(inspect_nats, nats_url),
        cache=None if redis_url is None else partial(inspect_cache, redis_url),
    )
