"""Which headers a tenant may send to a webhook: none that frames the message, routes it, or speaks for the platform.

A `Transfer-Encoding` beside a `Content-Length` smuggles a second request; a character outside ASCII would fail at the
instant of firing, again and again (RFC 9110, section 5.5).
"""

import re
from collections.abc import Iterator, Mapping

from scheduler_domain.domain.errors import Problem

MOST_HEADERS = 50
LONGEST_VALUE = 4 * 1024
LARGEST_TOTAL = 16 * 1024
REFUSED = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "http2-settings",
        "idempotency-key",
        "x-tenant-id",
    }
)
REFUSED_PREFIXES = ("proxy-", "webhook-", "x-scheduler-")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?")


def header_problems(headers: Mapping[str, str], pointer: str) -> Iterator[Problem]:
    """Yield what is not acceptable about the headers of an HTTP target."""
    if len(headers) > MOST_HEADERS:
        yield Problem(pointer, "too-many-headers", f"at most {MOST_HEADERS} headers are accepted")
    if sum(len(name) + len(value) for name, value in headers.items()) > LARGEST_TOTAL:
        yield Problem(
            pointer, "headers-too-large", f"names and values have at most {LARGEST_TOTAL} characters together"
        )
    seen: set[str] = set()
    for name, value in headers.items():
        place = f"{pointer}/{name[:100].replace('~', '~0').replace('/', '~1')}"
        if name.lower() in seen:
            yield Problem(place, "duplicate-header", "a header is named once; upper and lower case are the same")
        seen.add(name.lower())
        yield from _name_problems(name, place)
        if len(value) > LONGEST_VALUE or _VALUE.fullmatch(value) is None:
            yield Problem(
                place,
                "invalid-header",
                f"a header's value is visible ASCII with spaces or tabs inside, {LONGEST_VALUE} characters at most",
            )


def _name_problems(name: str, place: str) -> Iterator[Problem]:
    if _TOKEN.fullmatch(name) is None:
        yield Problem(place, "invalid-header", "a header's name is made of letters, digits and !#$%&'*+.^_`|~-")
    elif name.lower() in REFUSED or name.lower().startswith(REFUSED_PREFIXES):
        yield Problem(place, "reserved-header", f"{name} is set by the platform or by the connection; leave it out")
