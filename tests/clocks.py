"""Wall clocks that a test may set, of processes that it starts. Monotonic clocks go on."""

from pathlib import Path

from tests.servers import missing

LIBRARIES = "*/faketime/libfaketimeMT.so.1"


class Clock:
    """The wall clock of whichever processes are started with its `environment`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": _library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, ahead_s: int) -> None:
        """From now on be that far ahead of the true time, or behind it."""
        changed = self._file.with_suffix(".new")
        changed.write_text(f"{ahead_s:+d}", encoding="ascii")
        changed.replace(self._file)


def _library() -> str:
    found = sorted(Path("/usr/lib").glob(LIBRARIES))
    if not found:
        missing("libfaketime is not installed (apt-get install faketime)")
    return str(found[0])
