"""Reads what trainings and studies have written; every call opens its files anew."""

import json
import math
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from agents.research.experiments.command.opening import consulted, has_store
from agents.research.experiments.measured import measured_path
from agents.research.experiments.queries import Tally
from agents.research.experiments.store import ExperimentStore
from agents.research.experiments.study import Study
from agents.research.experiments.trial import Trial
from agents.research.web.sheets import (
    MOST_RELATED,
    Curves,
    StudyList,
    StudyRow,
    StudySheet,
    TrialSheet,
    figures,
    study_row,
    study_sheet,
    trial_sheet,
)
from agents.sandbox.kernel.beneath import opened

MOST_STUDIES = 200
MOST_TRIALS = 5_000  # of a study that are read to tell of it; more would take seconds each time
MOST_BEST = 1_000  # of these
MOST_RECORDS = 2_000
MOST_BYTES = 1 << 26  # of a file that are looked at, each time
LONGEST_LINE = 65_536

Rows = dict[str, tuple[object, StudyRow]]
"""What was told of studies before, by their names, with what was known of them then."""


def read_studies(workspace: Path, known: Rows) -> StudyList:
    """The studies of a workspace; none where nothing was tried yet.

    Those of which nothing has changed since they were `known` are not read again.
    """
    if not has_store(workspace):
        return StudyList(studies=(), left_off=0)
    with consulted(workspace) as store:
        tallies = store.tallies()
        latest = reversed(store.studies())
        order = sorted(latest, key=lambda study: tallies[study.name].started == 0)
        shown = order[:MOST_STUDIES]
        for study in shown:
            tally = tallies[study.name]
            before = known.get(study.name)
            # What counts as running is looked at each time: its process may have ended.
            if tally.started or before is None or before[0] != (study, tally):
                row = study_row(study, _trials(store, study, tally), tally)
                known[study.name] = ((study, tally), row)
    for name in known.keys() - {study.name for study in shown}:
        del known[name]
    rows = tuple(known[study.name][1] for study in shown)
    return StudyList(studies=rows, left_off=len(order) - len(shown))


def read_study(workspace: Path, name: str) -> StudySheet:
    """One of them.

    Raises:
        UsageError: nothing was tried yet.
        UnknownStudyError: there is none of this name.
    """
    with consulted(workspace) as store:
        study, tally = store.study(name), store.tallies(name)[name]
        return study_sheet(study, _trials(store, study, tally), tally)


def read_trial(workspace: Path, trial_id: str) -> TrialSheet:
    """A trial.

    Raises:
        UsageError: nothing was tried yet.
        UnknownTrialError: there is none of this id.
    """
    with consulted(workspace) as store:
        trial = store.get(trial_id)
        study = store.study(trial.study)
        tally = store.tallies(study.name)[study.name]
        trials = _trials(store, study, tally, best=0, also=trial.id)
        count, children = store.some_children(trial.id, MOST_RELATED)
        return trial_sheet(
            study,
            trials,
            trial,
            store.lineage(trial.id),
            children,
            more_children=count - len(children),
        )


def _trials(
    store: ExperimentStore, study: Study, tally: Tally, *, best: int | None = None, also: str = ""
) -> Sequence[Trial]:
    if tally.trials <= MOST_TRIALS:
        return store.trials(study.name)
    best = MOST_BEST if best is None else best
    return store.some_trials(study, latest=MOST_TRIALS - best, best=best, also=also)


def read_curves(workspace: Path, trial_id: str, after: int, of: str = "") -> Curves:
    """The records of a trial from number `after` on, while it runs and later.

    From the first, where the numbers were not those of what there is now.

    Raises:
        UsageError: nothing was tried yet.
        UnknownTrialError: there is none of this id.
    """
    with consulted(workspace) as store:
        trial = store.get(trial_id)
        source, read = _records(store, workspace, trial)
    now = f"{source} {trial.started_at}"
    start = after if of in ("", now) else 0
    found = tuple(figures(each) for each in read(start))
    is_more = len(found) == MOST_RECORDS
    return Curves(
        records=found,
        of=now,
        next=start + len(found),
        is_more=is_more,
        is_over=trial.has_ended and not is_more,
    )


def _records(
    store: ExperimentStore, workspace: Path, trial: Trial
) -> tuple[str, Callable[[int], Sequence[dict[str, Any]]]]:
    """Where they come from, and how to read those from a number on.

    The store keeps them of a trial that has ended; of one that runs, or has none there, there is
    what it has measured until now, or what it has written into its folder.
    """
    if trial.has_ended and (kept := store.history(trial.id)):
        return "history", lambda start: kept[start : start + MOST_RECORDS]
    measured = measured_path(workspace, trial.id)
    if measured.exists():
        return "measured", partial(_read_from, measured.parent, measured.name)
    if not trial.artifacts:
        return "nothing", lambda _: ()
    path = f"{trial.artifacts}/metrics.jsonl"
    return "metrics", partial(_read_from, workspace, path, without=".guildbus")


def _read_from(
    folder: Path, path: str, after: int, *, without: str = ""
) -> Sequence[dict[str, Any]]:
    """The records on whole lines from number `after` on; a line without sense is an empty one.

    None where there is no such file, or where it leads out of the folder: code that is judged
    writes there, too.
    """
    with (
        suppress(OSError, ValueError),
        opened(folder, path, os.O_RDONLY, without=without) as handle,
    ):
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return ()
        with open(handle, "rb", closefd=False) as file:
            return [_record(line) for line in islice(_lines(file), after, after + MOST_RECORDS)]
    return ()


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines that have an end: the last may be about to be written."""
    while file.tell() < MOST_BYTES and (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
        yield line


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line, parse_constant=lambda _: math.nan)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
