"""Keeps one server process, and ends it when the program that wanted it is gone.

Design note. A server must not outlive the program that started it, not even if that is killed and can clean up nothing.
So between the two stands this small process. It holds the reading end of a pipe whose writing end is the program's:
end of input means "stop", whether the program asked for it or died. The server is then asked to stop, first kindly,
then less so. Should the keeper itself be killed, the kernel kills the server (`setpriv --pdeathsig`). A parent-death
signal alone would not do: it is tied to the thread that started the server, not to the program, cannot be followed by
a second one, and does not reach a server that is paused.

Runs as a script, isolated and on the standard library alone, because its start is part of every server's start:

    python -I -S keeper.py PARENT GRACE_SEC SIGNALS LOCK_FD COMMAND...

PARENT is the program's process id, SIGNALS the names to try in order, GRACE_SEC apart, LOCK_FD a descriptor that the
server inherits. The server's process id is printed on a line of its own; its output goes to standard error.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path


def wait_until_abandoned(parent: int) -> None:
    """Return at end of input, or once the parent has changed: a fork of the program may hold the pipe open."""
    while os.getppid() == parent and not select.select([sys.stdin], [], [], 1.0)[0]:
        pass


def wake(server: "subprocess.Popen[bytes]") -> None:
    """Let a paused server and its own children go on: they would not hear that they are to stop."""
    listed = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    # Without such a list (not Linux) the children end by the ruder signals.
    children = [int(child) for child in listed.read_text(encoding="ascii").split()] if listed.exists() else []
    server.send_signal(signal.SIGCONT)
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGCONT)


def end(server: "subprocess.Popen[bytes]", signal_names: list[str], grace: float) -> None:
    """Stop the server by ever ruder signals, the last of which nothing withstands."""
    wake(server)
    for name in (*signal_names, "SIGKILL"):
        server.send_signal(signal.Signals[name])
        try:
            server.wait(grace)
        except subprocess.TimeoutExpired:
            continue
        return


def main(parent: str, grace: str, signal_names: str, lock: str, *command: str) -> int:
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, pass_fds=[int(lock)])
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.flush()

    def watch() -> None:
        wait_until_abandoned(int(parent))
        end(server, signal_names.split(","), float(grace))

    threading.Thread(target=watch, daemon=True).start()
    return server.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
