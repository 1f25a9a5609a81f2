"""What was tried, with what outcome and at what price; importable without torch and the bus.

trial        what one try is, and what makes two of them the same
store        keeps trials in one file per workspace, through crashes and between processes
queries      what can be asked of it
spending     what a study has used of its budget
standing     the leaderboard: mean and standard error over seeds
tree, progress, duplicates, difference   what else can be read in trials
recording    makes trials of what the tools evaluate and train
command      `guildbus experiments`
"""

from typing import TYPE_CHECKING

from messaging._lazy import lazily

if TYPE_CHECKING:
    from agents.research.experiments.errors import (
        CorruptStoreError,
        StoreBusyError,
        StoreError,
        StoreFullError,
        StoreGoneError,
        StoreUnusableError,
        StoreVersionError,
        StudyConflictError,
        TrialConflictError,
        UnknownStudyError,
        UnknownTrialError,
    )
    from agents.research.experiments.spending import Used
    from agents.research.experiments.standing import Standing
    from agents.research.experiments.store import ExperimentStore, store_path
    from agents.research.experiments.study import Budget, Study
    from agents.research.experiments.trial import Kind, Status, Trial, fingerprint_of

__all__ = [
    "Budget",
    "CorruptStoreError",
    "ExperimentStore",
    "Kind",
    "Standing",
    "Status",
    "StoreBusyError",
    "StoreError",
    "StoreFullError",
    "StoreGoneError",
    "StoreUnusableError",
    "StoreVersionError",
    "Study",
    "StudyConflictError",
    "Trial",
    "TrialConflictError",
    "UnknownStudyError",
    "UnknownTrialError",
    "Used",
    "fingerprint_of",
    "store_path",
]

_ERRORS = tuple(name for name in __all__ if name.endswith("Error"))

__getattr__ = lazily(
    __name__,
    {
        "agents.research.experiments.errors": _ERRORS,
        "agents.research.experiments.standing": ("Standing",),
        "agents.research.experiments.spending": ("Used",),
        "agents.research.experiments.store": ("ExperimentStore", "store_path"),
        "agents.research.experiments.study": ("Budget", "Study"),
        "agents.research.experiments.trial": ("Kind", "Status", "Trial", "fingerprint_of"),
    },
)
