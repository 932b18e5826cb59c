"""Words for what went wrong on the way: for the tenant, so with its own host, and without anything secret."""

import errno
import ssl

import aiohttp

from scheduler_domain.domain.outcome import Refused, Unreachable
from scheduler_domain.infra.webhook.addresses import AddressNotAllowedError, LookupFailedError, NoLookupFreeError

_OUR_SIDE = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
"""This machine is short of something; the receiver was not tried, so no attempt is counted."""

_WORDS_BY_NUMBER = {
    errno.ECONNREFUSED: "connection refused by {place}",
    errno.ECONNRESET: "{place} reset the connection",
    errno.ECONNABORTED: "{place} reset the connection",
    errno.EPIPE: "{place} reset the connection",
    errno.ETIMEDOUT: "no connection to {place} in time",
    errno.ENETUNREACH: "there is no route to {place}",
    errno.EHOSTUNREACH: "there is no route to {place}",
}
_WORDS_BY_KIND: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ServerTimeoutError, "no connection to {place} in time"),
    (TimeoutError, "no answer within {seconds:g} s"),
    (aiohttp.ServerDisconnectedError, "{place} closed the connection without an answer"),
    (aiohttp.ClientResponseError, "{place} did not answer in HTTP"),
    (aiohttp.ClientPayloadError, "{place} did not answer in HTTP"),
    (ssl.SSLError, "no TLS connection to {place} could be agreed"),
    (OSError, "no connection to {place}"),
    (Exception, "the request to {place} failed"),
)


def failure(error: Exception, place: str, seconds: float) -> Refused | Unreachable:
    """Turn what the client raised into an outcome; `place` is host:port as the tenant wrote it."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Unreachable(f"the certificate of {place} is not valid: {_certificate_words(error)}")
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, AddressNotAllowedError):
        return Refused(str(cause))
    if isinstance(cause, NoLookupFreeError):
        return Unreachable(str(cause), counts=False)
    if isinstance(cause, LookupFailedError):
        return Unreachable(str(cause))
    number = cause.errno if isinstance(cause, OSError) else None
    if number in _OUR_SIDE:
        return Unreachable("the dispatcher is short of sockets", counts=False)
    words = _WORDS_BY_NUMBER.get(number or 0) or next(text for kind, text in _WORDS_BY_KIND if isinstance(cause, kind))
    return Unreachable(words.format(place=place, seconds=seconds))


def _certificate_words(error: aiohttp.ClientConnectorCertificateError) -> str:
    cause = error.certificate_error
    return getattr(cause, "verify_message", "") or type(cause).__name__
