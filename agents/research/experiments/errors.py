"""Errors of the experiment store. Nothing is ever deleted or begun anew because of one.

ResearchError
└── StoreError                what was to be read or written was not
    ├── CorruptStoreError     the file is damaged, or is no store
    ├── StoreVersionError     the file was written by a later version
    ├── StoreFullError        no room on the disk; retryable
    ├── StoreBusyError        another process held the file for too long; retryable
    ├── StoreGoneError        the file was removed or replaced while it was open
    ├── StoreUnusableError    the file cannot be opened or written: rights, a missing folder
    ├── UnknownTrialError     no trial, or more than one, goes by this id
    ├── UnknownStudyError     no study of this name
    ├── TrialConflictError    a trial that ended was to end in another way
    └── StudyConflictError    the name belongs to a study that was asked for something else
"""

from collections.abc import Sequence
from pathlib import Path

from agents.research.errors import ResearchError

_MOST_NAMES = 20


class StoreError(ResearchError):
    """Root of the store's errors."""


class CorruptStoreError(StoreError):
    """The file cannot be trusted; it is left as it is."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"the experiment store {path} is damaged or is something else ({reason}); it was left "
            f"as it is. Save what can be saved: sqlite3 {path} .recover | sqlite3 {path}.saved ; "
            f"then put {path}.saved in its place, or move {path} away to begin a new store"
        )
        self.path = path


class DamagedRowError(ValueError):
    """A row holds what we never write; the database tells of it as `CorruptStoreError`."""


class StoreVersionError(StoreError):
    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"the experiment store {path} has schema {found}, and this version of guildbus knows "
            f"schemas up to {known}; nothing was changed. Upgrade guildbus, or use another "
            "workspace"
        )


class StoreFullError(StoreError):
    retryable = True

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"there is no room to write to the experiment store {path}; nothing was changed. Make "
            "room on its disk (`guildbus experiments prune` removes checkpoints), then try again"
        )


class StoreBusyError(StoreError):
    retryable = True

    def __init__(self, path: Path, wait_s: float) -> None:
        super().__init__(
            f"another process wrote to the experiment store {path} for longer than {wait_s:g} s; "
            "nothing was changed. Try again; if it stays so, look which process holds the file: "
            f"fuser {path}"
        )


class StoreGoneError(StoreError):
    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"the experiment store {path} {reason}; nothing was written. Open it anew: restart "
            "what uses it"
        )


class StoreUnusableError(StoreError):
    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"the experiment store {path} cannot be used: {reason}; nothing was changed. Make sure "
            "that its folder exists on a local disk and that this user may write to both"
        )


class UnknownTrialError(StoreError):
    def __init__(self, trial: str, matches: Sequence[str] = ()) -> None:
        reason = f"fits {', '.join(matches)}; give more of it" if matches else "is not there"
        super().__init__(
            f"the trial {trial!r} {reason}. `guildbus experiments list` shows the studies, "
            "`guildbus experiments show STUDY` their trials"
        )


class UnknownStudyError(StoreError):
    def __init__(self, study: str, studies: Sequence[str]) -> None:
        some = ", ".join(studies[:_MOST_NAMES])
        more = len(studies) - _MOST_NAMES
        there = f"there are {some}" if studies else "there is none yet"
        there += f" and {more:,} more" if more > 0 else ""
        super().__init__(f"there is no study {study!r}; {there}")


class TrialConflictError(StoreError):
    """The outcome that was recorded first stays."""

    def __init__(self, trial: str, kept: str, refused: str) -> None:
        super().__init__(
            f"the trial {trial} has ended with {kept}; it cannot also end with {refused}. The "
            "first outcome stays; plan a trial with another seed to measure again"
        )


class StudyConflictError(StoreError):
    def __init__(self, study: str, keys: Sequence[str]) -> None:
        super().__init__(
            f"the study {study!r} was asked for something else ({', '.join(keys)} differ); give "
            "this one another name, or ask for exactly what it began with"
        )
