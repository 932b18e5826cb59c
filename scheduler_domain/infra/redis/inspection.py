"""A look at a Redis or Valkey server, for `scheduler doctor`; changes nothing."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from scheduler_domain.application.ports.inspection import CacheFacts
from scheduler_domain.domain.errors import Unavailable

_ANSWERS_WITHIN = 3


async def inspect_cache(redis_url: str) -> CacheFacts:
    """Return what there is to know; Unavailable if the server cannot be reached or lets us not in."""
    try:
        async with Redis.from_url(
            redis_url, socket_connect_timeout=_ANSWERS_WITHIN, socket_timeout=_ANSWERS_WITHIN
        ) as client:
            server = await client.info("server")
    except (OSError, RedisError) as error:
        raise Unavailable(f"cannot be used: {str(error) or 'no answer in time'}") from error
    if "valkey_version" in server:
        return CacheFacts("Valkey", str(server["valkey_version"]))
    return CacheFacts("Redis", str(server.get("redis_version", "of unknown version")))
