"""A look at a NATS server, for `scheduler doctor`; changes nothing."""

import asyncio
import json
import re
from datetime import timedelta
from typing import Any

import nats
from nats.aio.client import Client
from nats.errors import Error, NoRespondersError

from scheduler_domain.application.ports.inspection import NatsFacts, StreamFacts
from scheduler_domain.domain.errors import Unavailable
from scheduler_domain.infra.nats.frames import EVENTS, LIFECYCLE, QUEUES
from scheduler_domain.infra.nats.streams import STREAM_NOT_FOUND

_ANSWERS_WITHIN = 5.0


async def inspect_nats(nats_url: str) -> NatsFacts:
    """Return what there is to know; Unavailable if the server cannot be reached or lets us not in."""

    causes: list[Exception] = []

    async def keep(cause: Exception) -> None:
        """Remember what really happened: the client itself only says that no server was left."""
        causes.append(cause)

    try:
        async with asyncio.timeout(_ANSWERS_WITHIN):
            connection = await nats.connect(
                [server.strip() for server in nats_url.split(",")],
                # With nothing to wait for between two attempts; the first connection is repeated whatever is said here.
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                error_cb=keep,
            )
            try:
                return await _facts(connection)
            finally:
                await connection.close()
    except (OSError, Error) as error:
        cause = causes[-1] if causes else error
        raise Unavailable(f"cannot be used: {str(cause) or 'no answer in time'}") from error


async def _facts(connection: Client) -> NatsFacts:
    return NatsFacts(
        version=_numbers(str(connection.connected_server_version)),
        longest_message=connection.max_payload,
        streams=await _streams(connection),
    )


async def _streams(connection: Client) -> tuple[StreamFacts, ...] | None:
    """Return those of ours that are there; None without JetStream.

    Asked one by one, which a dispatcher's credentials allow, and in plain JSON: the client's own types do not know of
    atomic batches.
    """
    found = []
    for name in (EVENTS, QUEUES, LIFECYCLE):
        try:
            answer = json.loads((await connection.request(f"$JS.API.STREAM.INFO.{name}", timeout=_ANSWERS_WITHIN)).data)
        except NoRespondersError:
            return None
        if "config" in answer:
            found.append(_stream(answer["config"]))
        elif answer["error"].get("err_code") != STREAM_NOT_FOUND:
            return None
    return tuple(found)


def _stream(config: dict[str, Any]) -> StreamFacts:
    return StreamFacts(
        name=config["name"],
        subjects=tuple(config.get("subjects") or ()),
        is_on_file=config.get("storage") == "file",
        is_atomic=bool(config.get("allow_atomic")),
        duplicate_window=timedelta(microseconds=config.get("duplicate_window", 0) / 1000),
    )


def _numbers(version: str) -> tuple[int, ...]:
    """
    >>> _numbers("2.12.0-beta.1")
    (2, 12, 0)
    """
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
