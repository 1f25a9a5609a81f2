"""Removes folders of trials that are no longer needed; the trials themselves stay."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from agents.research.errors import WorkRefusedError
from agents.research.experiments.standing import leaderboard
from agents.research.experiments.store import ExperimentStore, store_path
from agents.research.experiments.study import Study
from agents.research.experiments.trial import Trial
from agents.research.job_properties import VAULTS
from agents.research.workspace.files import WorkspaceFiles

_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]*")


class Prunable(NamedTuple):
    """A folder that may go; it may be gone already."""

    trial: Trial
    folder: Path
    size_bytes: int


class Pruning(NamedTuple):
    """What may go, and trials whose folder stays since it lies where none should."""

    prunable: list[Prunable]
    refused: list[Trial]


def look(
    store: ExperimentStore, workspace: Path, *, study: str | None, keep: int, forget: bool = False
) -> Pruning:
    """What pruning would remove, of one study or of all.

    The folders of the best `keep` configurations of each study stay, and of everything that is
    tested, planned, running or could be resumed; none of a study that is to be forgotten.
    """
    studies = store.studies() if study is None else [store.study(study)]
    trials = {each.name: store.trials(each.name) for each in studies}
    everything = store.trials()
    kept = {id_ for each in studies for id_ in _kept(each, trials[each.name], keep) if not forget}
    kept |= {trial.id for trial in everything if trial.study not in trials}
    needed = [_folder(workspace, t) for t in everything if t.id in kept and t.artifacts]
    prunable, refused = [], []
    for trial in everything:
        if trial.id in kept or not trial.artifacts:
            continue
        folder = _folder(workspace, trial)
        if not _may_go(workspace, folder):
            refused.append(trial)
        elif not any(_overlap(folder, other) for other in needed):
            prunable.append(Prunable(trial, folder, _size(folder)))
    return Pruning(prunable, refused)


def prune(
    workspace: Path, found: Iterable[Prunable]
) -> Iterator[tuple[Prunable, WorkRefusedError | None]]:
    """Remove each folder; that it is gone is then to be noted by `drop_artifacts`.

    Yields:
        each one, with the error where its folder could not be removed as a whole.
    """
    files = WorkspaceFiles(workspace)
    for each in found:
        try:
            files.remove_folder(str(each.folder))
        except WorkRefusedError as error:
            yield each, error
        else:
            yield each, None


def study_folders(study: Study) -> list[str]:
    """What a researcher made for a study, relative to the workspace: data, models and report."""
    runs, name = study.asked.get("runs_dir"), study.name
    if not isinstance(runs, str) or not _FOLDER.fullmatch(name):
        return []
    return [f"{runs}/{name}", f"{VAULTS}/{runs}/{name}"]


def _kept(study: Study, trials: list[Trial], keep: int) -> Iterator[str]:
    ranked = leaderboard(trials, study.metric, higher_is_better=study.higher_is_better)
    for standing in ranked[:keep]:
        if standing.rank is not None:
            yield from standing.trials
    for trial in trials:
        if trial.kind == "test":
            yield from filter(None, (trial.id, trial.parent))
        elif not trial.is_settled:
            yield trial.id


def _folder(workspace: Path, trial: Trial) -> Path:
    return Path(os.path.realpath(workspace / trial.artifacts))


def _may_go(workspace: Path, folder: Path) -> bool:
    """Whether it lies below the workspace and holds neither it nor the store."""
    root, store = workspace.resolve(), store_path(workspace).parent.resolve()
    is_below = folder.is_relative_to(root) and folder != root
    return is_below and not _overlap(folder, store)


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _size(folder: Path) -> int:
    return sum(
        (Path(place) / name).lstat().st_size
        for place, _, names in os.walk(folder)
        for name in names
    )
