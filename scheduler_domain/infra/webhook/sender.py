"""Sending webhooks (`application.ports.delivery.SingleSender`).

Design note. The receiver is not trusted: it chooses where its name points, when it answers, how much and in what form.
So each attempt has one deadline over everything; addresses are judged when they are used (`addresses`); redirects are
an answer like any other, never followed; no cookie, proxy or credential of ours is ever sent; of the answer at most
64 KiB are read, as they come, never decoded, and 1 KiB is kept. The status decides: once it is in, a body that drips,
breaks off or never ends changes nothing.
"""

import asyncio
import ssl
from collections.abc import Mapping
from datetime import datetime, timedelta

import aiohttp

from scheduler_domain.application.ports.delivery import Delivery
from scheduler_domain.domain.address_guard import AllowedNets
from scheduler_domain.domain.callback import ACCEPTED
from scheduler_domain.domain.outcome import Accepted, Outcome, Refused, Unreachable
from scheduler_domain.domain.target import HttpTarget
from scheduler_domain.infra.webhook.addresses import FindAddresses, NameLookups, system_addresses
from scheduler_domain.infra.webhook.answer import outcome_of
from scheduler_domain.infra.webhook.failures import failure
from scheduler_domain.infra.webhook.pools import TenantPools
from scheduler_domain.infra.webhook.request import RequestWriter, Sign, WebhookRequest

LARGEST_ANSWER = 64 * 1024
LONGEST_ATTEMPT_SECONDS = 60.0
"""However long a schedule may wait for its occurrence to end, a slot is not held longer for one request."""
_NOTHING_SAID = Unreachable("the receiver said nothing")


class WebhookSender:
    """Sends from one event loop. `allow_http` False refuses http:// even where a stored schedule has it.

    `callback_key` is what receivers' right to call back is made of (domain/callback.py).
    """

    def __init__(
        self,
        allowed: AllowedNets,
        *,
        allow_http: bool = True,
        sign: Sign | None = None,
        callback_key: bytes | None = None,
        find_addresses: FindAddresses = system_addresses,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._requests = RequestWriter(allowed, allow_http=allow_http, sign=sign, callback_key=callback_key)
        self._lookups = NameLookups(find_addresses)
        self._pools = TenantPools(allowed, self._lookups, tls or ssl.create_default_context())

    async def close(self) -> None:
        await self._pools.close()
        self._lookups.close()

    async def send(self, delivery: Delivery, fired_at: bytes) -> Outcome:
        target = delivery.target
        if not isinstance(target, HttpTarget):
            return Refused("this target is not sent by HTTP")
        request = self._requests.write(delivery, target.http, fired_at)
        if isinstance(request, Refused):
            return request
        answer = _Answer()
        problem = await self._attempt(delivery, request, answer)
        if answer.status == ACCEPTED and delivery.expects_callback:
            return Accepted(answer.status, timedelta(seconds=delivery.timeout_sec))
        if answer.status:
            fired = datetime.fromisoformat(fired_at.decode())
            return outcome_of(answer.status, answer.headers, answer.body, target.http.success_status, fired)
        return problem

    async def _attempt(self, delivery: Delivery, request: WebhookRequest, answer: "_Answer") -> Outcome:
        """Fill in the answer as it arrives; return what to say where none does."""
        seconds = min(delivery.timeout_sec, LONGEST_ATTEMPT_SECONDS)
        pool = self._pools.lend(delivery.tenant_id)
        try:
            async with asyncio.timeout(seconds):
                response = await pool.session.request(
                    request.method, request.url, headers=request.headers, data=request.body, allow_redirects=False
                )
                await answer.receive(response)
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            return failure(error, request.url.authority, seconds)
        finally:
            await self._pools.take_back(pool)
        return _NOTHING_SAID


class _Answer:
    """What has arrived so far; `status` 0 while nothing has."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.body = bytearray()

    async def receive(self, response: aiohttp.ClientResponse) -> None:
        try:
            self.status, self.headers = response.status, response.headers
            while len(self.body) < LARGEST_ANSWER and (chunk := await response.content.readany()):
                self.body += chunk
        finally:
            # Puts the connection back where the answer was read to its end, and closes it where it was not.
            if response.content.at_eof():
                response.release()
            else:
                response.close()
