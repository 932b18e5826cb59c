"""Fetching an identity provider's keys: bounded in time and size, and sent nowhere else."""

import json
import time

import pytest

from scheduler_domain.infra.identity.fetch_keys import fetch_over_http
from scheduler_domain.infra.identity.key_set import LARGEST_KEY_SET
from tests.support.receiver import Answer, Receiver, drip, hang, redirect, reply, reset

KEYS = json.dumps({"keys": []}).encode()


async def test_the_key_set_is_fetched_as_it_is(receiver: Receiver) -> None:
    receiver.always(reply(body=KEYS))
    assert await fetch_over_http(f"{receiver.url}/keys")() == KEYS


@pytest.mark.parametrize(
    "answer",
    [
        reply(500),
        reply(404, body=KEYS),
        redirect("/elsewhere"),
        reply(body=b" " * (LARGEST_KEY_SET + 1)),
        reset(),
        hang(),
        drip(KEYS * 100, every=0.5),
    ],
    ids=["500", "404", "redirect", "too large", "reset", "hang", "drip"],
)
async def test_a_provider_that_misbehaves_is_an_error_within_seconds(receiver: Receiver, answer: Answer) -> None:
    receiver.next_answers(answer)
    receiver.always(reply(body=KEYS))
    started_at = time.monotonic()
    with pytest.raises((OSError, ValueError)):
        await fetch_over_http(f"{receiver.url}/keys")()
    assert time.monotonic() - started_at < 4
    assert [request.path for request in receiver.requests] == ["/keys"]


async def test_a_provider_that_is_away_is_an_error() -> None:
    with pytest.raises(OSError, match=r"."):
        await fetch_over_http("http://127.0.0.1:1/keys")()
