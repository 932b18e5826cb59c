"""A look at a NATS server, for `scheduler doctor`; changes nothing."""

import json
import re
from datetime import timedelta
from typing import Any

import nats
from nats.aio.client import Client
from nats.errors import Error, NoRespondersError

from scheduler_domain.application.ports.inspection import NatsFacts, StreamFacts
from scheduler_domain.domain.errors import Unavailable

_ANSWERS_WITHIN = 3


async def inspect_nats(nats_url: str) -> NatsFacts:
    """Return what there is to know; Unavailable if the server cannot be reached or lets us not in."""

    async def ignore(_: Exception) -> None:
        """The same error is raised to us; nats-py would log it besides."""

    servers = [server.strip() for server in nats_url.split(",")]
    try:
        connection = await nats.connect(
            servers, allow_reconnect=False, connect_timeout=_ANSWERS_WITHIN, error_cb=ignore
        )
        try:
            return NatsFacts(
                version=_numbers(str(connection.connected_server_version)),
                longest_message=connection.max_payload,
                streams=await _streams(connection),
            )
        finally:
            await connection.close()
    except (OSError, Error) as error:
        raise Unavailable(f"cannot be used: {error or type(error).__name__}") from error


async def _streams(connection: Client) -> tuple[StreamFacts, ...] | None:
    """Ask in plain JSON: the client's own types do not know of atomic batches."""
    try:
        answer = await connection.request("$JS.API.STREAM.LIST", timeout=_ANSWERS_WITHIN)
    except NoRespondersError:
        return None
    listed = json.loads(answer.data)
    if "error" in listed:
        return None
    return tuple(_stream(stream["config"]) for stream in listed.get("streams") or ())


def _stream(config: dict[str, Any]) -> StreamFacts:
    return StreamFacts(
        name=config["name"],
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
