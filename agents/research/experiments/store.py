"""The experiment store: what was tried in a workspace, in one file that survives any crash."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from agents.research.experiments import rows
from agents.research.experiments.database import Database
from agents.research.experiments.errors import StudyConflictError, TrialConflictError
from agents.research.experiments.queries import Queries
from agents.research.experiments.study import Study
from agents.research.experiments.trial import ENDED, Status, Trial
from agents.research.experiments.worker import this_worker


def store_path(workspace: Path) -> Path:
    """Where a workspace keeps its experiments: a folder that no foreign code may see."""
    return workspace / ".guildbus" / "experiments" / "experiments.db"


class ExperimentStore(Queries):
    """Studies and their trials. Any thread may call; each process opens its own.

    Every change is on the disk when its method returns, and happens as a whole or not at all.

    Args:
        path: the file, on a local disk; it and its folder are made if missing.
        wait_s: how long a change waits for another process's.
        clock: what tells the time.

    Raises:
        StoreError: any method may raise one; each kind says what to do.
    """

    def __init__(
        self, path: Path, *, wait_s: float = 10.0, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(Database(path, wait_s=wait_s))
        self._clock = clock

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, study: Study) -> Study:
        """Keep `study`, and return it as it is kept; one that is there goes on, even if it ended.

        Raises:
            StudyConflictError: the name belongs to a study that was asked for something else.
        """
        with self._database.writing() as connection:
            kept = rows.find_study(connection, study.name)
            if kept is None:
                rows.insert_study(connection, study)
                return study
            if different := study.differing_keys(kept):
                raise StudyConflictError(study.name, different)
            return kept

    def end(self, name: str) -> Study:
        """Note that the study has come to its end; the first time counts."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE studies SET ended_at = ? WHERE name = ? AND ended_at IS NULL",
                (self._clock(), name),
            )
            return rows.required_study(connection, name)

    def forget(self, study: str) -> int:
        """Remove a study with all its trials; returns how many."""
        with self._database.writing() as connection:
            rows.required_study(connection, study)
            count = connection.execute("SELECT count(*) FROM trials WHERE study = ?", (study,))
            (trials,) = count.fetchone()
            connection.execute("DELETE FROM studies WHERE name = ?", (study,))
            return int(trials)

    def plan(self, trial: Trial) -> Trial:
        """Keep `trial`; when it is there already, return it with what came of it.

        A study that was not begun is begun by its first trial.

        Raises:
            UnknownTrialError: there is no such parent.
        """
        with self._database.writing() as connection:
            key = (trial.study, trial.fingerprint, trial.seed, trial.kind)
            same = rows.select_trials(
                connection, "study = ? AND fingerprint = ? AND seed = ? AND kind = ?", key
            )
            if same:
                return same[0]
            if trial.parent is not None:
                rows.required_trial(connection, trial.parent)
            if rows.find_study(connection, trial.study) is None:
                rows.insert_study(connection, Study(name=trial.study, created_at=trial.created_at))
            rows.insert_trial(connection, trial)
            return trial

    def start(self, trial_id: str, *, artifacts: str = "") -> Trial:
        """Note that work on a trial begins, or begins again after it failed or was cut short.

        One that is done or diverged stays as it is: look at the status of what is returned.

        Args:
            trial_id: the trial.
            artifacts: the folder of this attempt, where that is another than before.
        """
        with self._database.writing() as connection:
            kept = rows.required_trial(connection, trial_id)
            if kept.status in ("done", "diverged"):
                return kept
            running = kept.model_copy(
                update={
                    "status": "running",
                    "error": "",
                    "artifacts": artifacts or kept.artifacts,
                    "started_at": self._clock(),
                    "ended_at": None,
                    "worker": this_worker(),
                }
            )
            rows.update_trial(connection, running)
            return running

    def finish(
        self,
        trial_id: str,
        *,
        status: Status,
        metrics: Mapping[str, float] | None = None,
        cost_s: float = 0.0,
        tokens: int = 0,
        error: str = "",
        artifacts: str = "",
        history: Sequence[Mapping[str, Any]] = (),
    ) -> Trial:
        """Note what came of a trial. The same outcome a second time changes nothing.

        Args:
            trial_id: the trial.
            status: done, diverged, failed or interrupted.
            metrics: final values by name.
            cost_s: seconds of this attempt, added to those of earlier ones; so are the tokens.
            tokens: of language models.
            error: what went wrong, and where.
            artifacts: the trial's folder, relative to the workspace.
            history: one record for each epoch or evaluation, for curves.

        Raises:
            TrialConflictError: it is done, diverged or failed with another outcome, which stays.
        """
        if status not in ENDED:
            raise ValueError(
                f"a trial cannot end as {status!r}, only as {', '.join(sorted(ENDED))}"
            )
        with self._database.writing() as connection:
            kept = rows.required_trial(connection, trial_id)
            outcome = Trial.model_validate(
                {
                    **kept.model_dump(),
                    "status": status,
                    "metrics": dict(metrics or {}),
                    "cost_s": kept.cost_s + cost_s,
                    "tokens": kept.tokens + tokens,
                    "error": error,
                    "artifacts": artifacts or kept.artifacts,
                    "ended_at": self._clock(),
                }
            )
            if kept.is_settled:
                if kept.outcome != outcome.outcome:
                    raise TrialConflictError(trial_id, kept.outcome, outcome.outcome)
                return kept
            rows.update_trial(connection, outcome)
            if history:
                rows.write_history(connection, trial_id, history)
            return outcome

    def interrupt(self, study: str, reason: str, *, abandoned_only: bool = False) -> list[Trial]:
        """End every trial of a study that counts as running as interrupted; returns them.

        For whoever takes a study up again and knows that nothing else works on it; who does not
        know it ends only those whose process has ended.
        """
        with self._database.writing() as connection:
            trials = rows.select_trials(connection, "study = ? AND status = 'running'", (study,))
            ended = [
                trial.model_copy(
                    update={"status": "interrupted", "error": reason, "ended_at": self._clock()}
                )
                for trial in trials
                if trial.is_abandoned or not abandoned_only
            ]
            for trial in ended:
                rows.update_trial(connection, trial)
            return ended

    def drop_artifacts(self, trial_ids: Collection[str]) -> None:
        """Note that the folders of these trials are gone."""
        with self._database.writing() as connection:
            connection.executemany(
                "UPDATE trials SET artifacts = '' WHERE id = ?", [(each,) for each in trial_ids]
            )
