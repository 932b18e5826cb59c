"""Print what arrives on NATS, event and queue messages alike: python docs/examples/watch_messages.py [NATS_URL]"""

import asyncio
import os
import sys

import nats
from nats.aio.msg import Msg


async def show(message: Msg) -> None:
    headers = message.headers or {}
    sys.stdout.write(f"{message.subject}  {headers.get('Nats-Msg-Id')}  {message.data.decode()}\n")
    sys.stdout.flush()


async def tell(error: Exception) -> None:
    """Say in one line what the client would print as a traceback; it connects again by itself."""
    sys.stderr.write(f"{type(error).__name__}: {error}\n")


async def main(url: str) -> None:
    client = await nats.connect(url, error_cb=tell)
    for subjects in ("events.>", "queues.>"):
        await client.subscribe(subjects, cb=show)
    await client.flush()
    sys.stdout.write(f"watching events.> and queues.> on {url}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("NATS_URL", "nats://127.0.0.1:4222")))
    except KeyboardInterrupt:
        sys.exit(0)
