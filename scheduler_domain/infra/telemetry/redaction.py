"""Keeps secrets out of what is written for people: by the name they are filed under, and by their looks.

Names alone do not do: a password comes along inside a connection URL, a token inside an exception's text.
"""

import re
from collections.abc import Mapping

MASK = "***"

_SECRET_NAME = re.compile(
    r"passw(or)?d|passphrase|secret|token|authorization|api[-_]?key|private[-_]?key|signing[-_]?key|cookie|credential|jwt",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"""
      (?P<scheme>\b(?:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{8,}     # an Authorization header
    | (?P<user>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+(?=@)     # the password of a URL
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*      # a JWT
    | \bwhsec_[A-Za-z0-9+/=]+                                     # a Standard Webhooks secret
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END[^-]*-----|\Z)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def redacted_text(text: str) -> str:
    """Return the text with what looks like a secret masked, and what names it kept.

    >>> redacted_text("cannot reach postgresql://app:hunter2@db/scheduler")
    'cannot reach postgresql://app:***@db/scheduler'
    """
    return _SECRET_VALUE.sub(lambda match: (match["scheme"] or match["user"] or "") + MASK, text)


def redacted(name: str, value: object) -> object:
    """Return a value fit to be logged under `name`; containers are searched, numbers are no secrets.

    >>> redacted("api_key", "k-123"), redacted("lease_token", 7), redacted("url", "nats://u:p@host")
    ('***', 7, 'nats://u:***@host')
    """
    match value:
        case None | bool() | int() | float():
            return value
        case _ if _SECRET_NAME.search(name):
            return MASK
        case Mapping():
            return {key: redacted(str(key), inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redacted(name, inner) for inner in value]
        case _:
            return redacted_text(str(value))
