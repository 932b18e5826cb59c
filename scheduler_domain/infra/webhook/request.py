"""What a webhook's receiver gets: the tenant's request, with the platform's own headers over it."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote

from msgspec import Struct
from multidict import CIMultiDict
from yarl import URL

from scheduler_domain import __version__
from scheduler_domain.application.ports.delivery import Delivery
from scheduler_domain.domain.address_guard import AllowedNets, check_url_syntax
from scheduler_domain.domain.callback import CallbackRight, callback_path, callback_token
from scheduler_domain.domain.errors import InvalidField
from scheduler_domain.domain.headers import header_problems
from scheduler_domain.domain.outcome import Refused
from scheduler_domain.domain.payload import BodySource, fill, instant_text
from scheduler_domain.domain.target import HttpRequest

Sign = Callable[[Delivery, int, bytes], str]
"""Return `webhook-signature` for (delivery, `webhook-timestamp`, the bytes sent)."""

_FIRED_AT_MARK = "\x00"  # where domain.payload.fill leaves room for the firing instant
_VISIBLE_ASCII = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_DEFAULTS = {
    "User-Agent": f"scheduler-domain/{__version__}",
    "Accept": "*/*",
    "Content-Type": "application/json",
}
_OWN = {
    # An answer is kept as it came and never decoded: a gzip bomb stays as small as it was sent.
    "Accept-Encoding": "identity",
    "ce-specversion": "1.0",
    "ce-type": "scheduler.http",
}


class WebhookRequest(Struct, frozen=True, gc=False):
    """`body` is None for GET, which has no use for one (RFC 9110, section 9.3.1) and is often refused with one."""

    method: str
    url: URL
    headers: CIMultiDict[str]
    body: bytes | None


class RequestWriter:
    """Writes requests; what the definition says is checked once more, for its row may have had other writers."""

    def __init__(
        self, allowed: AllowedNets, *, allow_http: bool, sign: Sign | None, callback_key: bytes | None
    ) -> None:
        self._allowed = allowed
        self._allow_http = allow_http
        self._sign = sign
        self._callback_key = callback_key
        self._url_problem = lru_cache(maxsize=8192)(self._find_url_problem)

    def write(self, delivery: Delivery, target: HttpRequest, fired_at: bytes) -> WebhookRequest | Refused:
        before_query = target.url.partition("?")[0]
        problem = self._url_problem(before_query) or _headers_problem(target.headers)
        if problem is not None:
            return Refused(problem)
        try:
            url, headers = _filled(delivery, target, fired_at.decode())
        except (KeyError, ValueError) as error:
            return Refused(f"the URL or a header cannot be filled in: {error}")
        body = fired_at.join(delivery.body_pieces)
        self._add_own_headers(headers, delivery, fired_at, body)
        return WebhookRequest(target.method, url, headers, None if target.method == "GET" else body)

    def _find_url_problem(self, before_query: str) -> str | None:
        try:
            check_url_syntax(before_query, allow_http=self._allow_http, allowed=self._allowed)
        except InvalidField as problem:
            return problem.message
        return None

    def _add_own_headers(self, headers: CIMultiDict[str], delivery: Delivery, fired_at: bytes, body: bytes) -> None:
        occurrence = str(delivery.occurrence_id)
        timestamp = _epoch_seconds(fired_at)
        headers.update(_OWN)
        headers["Idempotency-Key"] = headers["webhook-id"] = headers["ce-id"] = occurrence
        headers["webhook-timestamp"] = str(timestamp)
        headers["ce-source"] = f"/tenants/{delivery.tenant_id}/schedules/{delivery.schedule_id}"
        headers["ce-time"] = _instant(delivery.scheduled_for)
        headers["traceparent"] = delivery.traceparent
        if delivery.expects_callback and self._callback_key is not None:
            right = CallbackRight(delivery.tenant_id, delivery.schedule_id, delivery.occurrence_id, delivery.attempt)
            headers["X-Scheduler-Callback-Token"] = callback_token(self._callback_key, right)
            headers["X-Scheduler-Callback-Url"] = callback_path(delivery.occurrence_id)
        if self._sign is not None:
            headers["webhook-signature"] = self._sign(delivery, timestamp, body)


def _filled(delivery: Delivery, target: HttpRequest, fired_at: str) -> tuple[URL, CIMultiDict[str]]:
    """Fill the `${places}` of the query and the header values; most targets have none."""
    headers = CIMultiDict(_DEFAULTS)
    before_query, mark, query = target.url.partition("?")
    if "$" not in query and not any("$" in value for value in target.headers.values()):
        headers.update(target.headers)
        return _url(target.url), headers
    source = _source(delivery)
    for name, value in target.headers.items():
        headers[name] = fill(value, source, _in_header).replace(_FIRED_AT_MARK, fired_at).strip(" \t")
    query = fill(query, source, _in_query).replace(_FIRED_AT_MARK, fired_at)
    return _url.__wrapped__(f"{before_query}{mark}{query}"), headers


@lru_cache(maxsize=8192)
def _url(text: str) -> URL:
    """Return the URL with its escapes left as the tenant wrote them: a signature in a query is over exactly those."""
    return URL(text, encoded=text.isascii())


def _in_query(value: str) -> str:
    return quote(value, safe="")


def _in_header(value: str) -> str:
    """Keep visible ASCII; percent-encode the rest as UTF-8, for HTTP has no other way to carry a name like Zoë."""
    return quote(value, safe=_VISIBLE_ASCII)


def _headers_problem(headers: dict[str, str]) -> str | None:
    if not headers:
        return None
    problem = next(header_problems(headers, "/target/http/headers"), None)
    return None if problem is None else f"{problem.pointer}: {problem.message}"


def _source(delivery: Delivery) -> BodySource:
    return BodySource(
        tenant_id=delivery.tenant_id,
        schedule_id=delivery.schedule_id,
        schedule_name=delivery.schedule_name,
        key=delivery.key,
        tz=delivery.tz,
        occurrence_id=delivery.occurrence_id,
        scheduled_for=delivery.scheduled_for,
        attempt=delivery.attempt,
    )


@lru_cache(maxsize=64)
def _instant(at: datetime) -> str:
    return instant_text(at)


@lru_cache(maxsize=64)
def _epoch_seconds(fired_at: bytes) -> int:
    return int(datetime.fromisoformat(fired_at.decode()).timestamp())
