"""Where the server programs lie that the wheels of the extra `embedded` brought along.

The wheels' own Python is never imported: it writes below the home directory, adds system users and opens up
permissions of every folder above the data, none of which a scheduler should do to its host. Only the programs are used.
"""

from importlib import metadata
from pathlib import Path

from scheduler_domain.infra.embedded.error import EmbeddedServerError


def program(distribution: str, name: str) -> Path:
    """Return the path of an executable that a distribution installed, wherever its installer put it."""
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name:
            return Path(str(file.locate())).resolve()
    raise EmbeddedServerError(
        f"{name} is not installed: add it with pip install 'scheduler-domain[embedded]', or name a server of your own"
    )
