"""A host whose clock is wrong, or is set while a process runs. Its monotonic clock goes on, as a real one does."""

from datetime import timedelta
from pathlib import Path

import pytest

_LIBRARIES = sorted(Path("/usr").glob("lib*/**/faketime/libfaketimeMT.so.1"))

needs_faketime = pytest.mark.skipif(not _LIBRARIES, reason="libfaketime (Debian package libfaketime) is not installed")


class HostClock:
    """What a process takes for its host's clock: `variables` go into its environment, `set` moves it at once."""

    def __init__(self, file: Path, ahead: timedelta = timedelta(0)) -> None:
        self._file = file
        self.set(ahead)

    def set(self, ahead: timedelta) -> None:
        replacement = self._file.with_suffix(".new")
        replacement.write_text(f"{ahead.total_seconds():+.0f}\n", encoding="ascii")
        replacement.replace(self._file)  # never half written: it is read whenever the process looks at its clock

    @property
    def variables(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(_LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
