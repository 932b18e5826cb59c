"""One form of PostgreSQL address for the user, two for the drivers."""

import re

_SCHEME = re.compile(r"^(postgres|postgresql)(\+\w+)?://")


def sqlalchemy_url(postgres_url: str) -> str:
    return _SCHEME.sub("postgresql+asyncpg://", postgres_url)


def asyncpg_url(postgres_url: str) -> str:
    return _SCHEME.sub("postgresql://", postgres_url)
