"""The API or the dispatcher as a child of `scheduler dev`.

    python -m scheduler_domain.entrypoints.dev.child serve|dispatch

Design note. Standard input is a pipe that the parent holds open as long as it lives. Its first line is the environment
(a JSON object), which is known only once the embedded servers run; until then this process does its imports, the longer
half of its start. End of input means that the parent is gone, killed perhaps: the child then drains as on SIGTERM, and
ends in any case once its time is up, so no child outlives its parent.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import NoReturn

from scheduler_domain.domain.errors import SchedulerError
from scheduler_domain.settings import Settings

ROLES = {
    "serve": "scheduler_domain.entrypoints.http_api.server",
    "dispatch": "scheduler_domain.entrypoints.dispatcher.server",
}
_TIME_TO_WRITE_LAST_WORDS = 5.0  # seconds beyond the grace that deliveries under way are given


def main(role: str) -> None:
    run: Callable[[Settings], None] = getattr(import_module(ROLES[role]), role)
    environment = sys.stdin.buffer.readline()
    if not environment:
        return
    os.environ.update(json.loads(environment))
    try:
        settings = Settings.from_environment(os.environ)
        grace = settings.dispatcher.shutdown_grace.total_seconds() + _TIME_TO_WRITE_LAST_WORDS
        threading.Thread(target=_end_with_parent, args=(grace,), name="end-with-parent", daemon=True).start()
        run(settings)
    except SchedulerError as error:
        sys.exit(f"Error: {error}")


def _end_with_parent(grace: float) -> NoReturn:
    # Unbuffered: a thread that waits inside a buffered reader would block the interpreter's exit.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(grace)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
