"""Reads what trainings and studies have written; every call opens its files anew."""

import json
import math
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from agents.research.experiments.command.opening import consulted, has_store
from agents.research.experiments.store import ExperimentStore
from agents.research.experiments.trial import Trial
from agents.research.web.sheets import (
    Curves,
    StudyRow,
    StudySheet,
    TrialSheet,
    curves,
    study_row,
    study_sheet,
    trial_sheet,
)
from agents.sandbox.kernel.beneath import opened

MOST_STUDIES = 500
MOST_RECORDS = 2_000
LONGEST_LINE = 65_536


def read_studies(workspace: Path) -> Sequence[StudyRow]:
    """The studies of a workspace, the last begun first; none where nothing was tried yet."""
    if not has_store(workspace):
        return ()
    with consulted(workspace) as store:
        latest = store.studies()[: -MOST_STUDIES - 1 : -1]
        return [study_row(study, store.trials(study.name)) for study in latest]


def read_study(workspace: Path, name: str) -> StudySheet:
    """One of them.

    Raises:
        UsageError: nothing was tried yet.
        UnknownStudyError: there is none of this name.
    """
    with consulted(workspace) as store:
        return study_sheet(store.study(name), store.trials(name))


def read_trial(workspace: Path, trial_id: str) -> TrialSheet:
    """A trial.

    Raises:
        UsageError: nothing was tried yet.
        UnknownTrialError: there is none of this id.
    """
    with consulted(workspace) as store:
        trial = store.get(trial_id)
        trials = store.trials(trial.study)
        return trial_sheet(store.study(trial.study), trials, trial, store.lineage(trial.id))


def read_curves(workspace: Path, trial_id: str, after: int) -> Curves:
    """The records of a trial from number `after` on, while it runs and later.

    Raises:
        UsageError: nothing was tried yet.
        UnknownTrialError: there is none of this id.
    """
    with consulted(workspace) as store:
        trial = store.get(trial_id)
        records = _records(store, workspace, trial, after)
    return curves(records, after, is_over=trial.has_ended and len(records) < MOST_RECORDS)


def _records(
    store: ExperimentStore, workspace: Path, trial: Trial, after: int
) -> Sequence[dict[str, Any]]:
    """Those that the store keeps; of a trial that runs, or has none there, those of its file."""
    kept = store.history(trial.id) if trial.has_ended else []
    if kept or not trial.artifacts:
        return kept[after : after + MOST_RECORDS]
    with suppress(OSError, ValueError):  # code that is judged writes there, too
        return _read_from(workspace, f"{trial.artifacts}/metrics.jsonl", after)
    return ()


def _read_from(workspace: Path, path: str, after: int) -> Sequence[dict[str, Any]]:
    """The records on whole lines from number `after` on; a line without sense is an empty one.

    Raises:
        OSError: there is no such file, or it leads out of the workspace.
    """
    with opened(workspace, path, os.O_RDONLY, without=".guildbus") as handle:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return ()
        with open(handle, "rb", closefd=False) as file:
            return [_record(line) for line in islice(_lines(file), after, after + MOST_RECORDS)]


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines that have an end: the last may be about to be written."""
    while (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
        yield line


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line, parse_constant=lambda _: math.nan)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
