"""As whom the servers run, and how they are kept from outliving this program.

PostgreSQL refuses to run as root, and the other two have no business doing so. As root the servers therefore run as the
owner of their folder, or as `nobody` where that is root, and keep a single capability (capabilities(7)): to search
folders and read files. It lets them reach programs and data below private folders such as /root without anybody's
permissions being changed. util-linux's `setpriv` does this without a fork, so what is started is the server itself.
"""

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from scheduler_domain.infra.embedded.error import EmbeddedServerError

_STATUS = Path("/proc/self/status")
# Capabilities that reach a private folder, with their bits in the kernel's sets; the lesser comes first. Docker gives
# root the second one only.
_REACHING = (("dac_read_search", 2), ("dac_override", 1))


@dataclass(frozen=True, slots=True)
class Account:
    """The user and group a server runs as."""

    user_id: int
    group_id: int

    @classmethod
    def for_folder(cls, folder: Path) -> "Account":
        """Ourselves, unless we are root: then the folder's owner, so that data made by a user stays that user's."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        owner = folder.stat()
        if owner.st_uid != 0:
            return cls(owner.st_uid, owner.st_gid)
        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid)

    def own(self, path: Path) -> None:
        """Hand a file or folder that we made over to this account."""
        os.chown(path, self.user_id, self.group_id)

    def command(self, command: list[str]) -> list[str]:
        """Return how to run a command as this account and, on Linux, let it end with the process that started it."""
        setpriv = shutil.which("setpriv", path=os.defpath + ":/usr/sbin:/sbin")
        if setpriv is not None:
            return [setpriv, "--pdeathsig=KILL", *self._switch(), *command]
        if os.geteuid() == 0:
            raise EmbeddedServerError(
                "embedded servers do not run as root, and setpriv (package util-linux) to run them as nobody "
                "is not installed: install it, or start as an ordinary user"
            )
        return command

    def _switch(self) -> list[str]:
        if os.geteuid() == self.user_id:
            return []
        switch = [f"--reuid={self.user_id}", f"--regid={self.group_id}", "--clear-groups"]
        reaching = _reaching_capability()
        if reaching is not None:
            # initdb asks access(2) about its programs, which ignores capabilities unless this bit is set.
            switch += [f"--inh-caps=+{reaching}", f"--ambient-caps=+{reaching}", "--securebits=+no_setuid_fixup"]
        return switch


def _reaching_capability() -> str | None:
    """Return the least capability that we hold and that reaches private folders; None in a container that has none."""
    lines = _STATUS.read_text(encoding="ascii").split("\n")
    held = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
    return next((name for name, bit in _REACHING if held >> bit & 1), None)
