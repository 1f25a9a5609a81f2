"""What can be asked of the experiment store; nothing is changed."""

import json
from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

from agents.research.experiments import rows
from agents.research.experiments.database import Database
from agents.research.experiments.difference import difference
from agents.research.experiments.errors import DamagedRowError, UnknownTrialError
from agents.research.experiments.spending import Used, used_by
from agents.research.experiments.standing import RANKED_KINDS, Standing, leaderboard
from agents.research.experiments.study import Study
from agents.research.experiments.trial import Kind, Status, Trial

_MOST_MATCHES = 9


class Tally(NamedTuple):
    """How a study stands, without a look at what its trials are.

    Attributes:
        trials: how many there are.
        started: how many count as running.
        version: another one once anything of it has changed.
    """

    trials: int
    started: int
    version: tuple[float, ...]


class Queries:
    """The store's half that reads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def study(self, name: str) -> Study:
        """The study of this name.

        Raises:
            UnknownStudyError: says which there are.
        """
        with self._database.reading() as connection:
            return rows.required_study(connection, name)

    def studies(self) -> list[Study]:
        """All studies, the first begun first."""
        with self._database.reading() as connection:
            return rows.select_studies(connection)

    def get(self, trial_id: str) -> Trial:
        """The trial of this id.

        Raises:
            UnknownTrialError: there is none.
        """
        with self._database.reading() as connection:
            return rows.required_trial(connection, trial_id)

    def find(self, beginning: str) -> Trial:
        """The one trial whose id begins so.

        Raises:
            UnknownTrialError: no trial has such an id, or several have.
        """
        with self._database.reading() as connection:
            found = rows.select_trials(
                connection, "substr(id, 1, ?) = ?", (len(beginning), beginning)
            )
        if len(found) != 1:
            raise UnknownTrialError(beginning, [trial.id for trial in found[:_MOST_MATCHES]])
        return found[0]

    def trials(
        self,
        study: str | None = None,
        *,
        kinds: Collection[Kind] | None = None,
        statuses: Collection[Status] | None = None,
    ) -> list[Trial]:
        """Trials in the order in which they were planned; None asks for any."""
        with self._database.reading() as connection:
            found = rows.select_trials(connection, "study = ?1 OR ?1 IS NULL", (study,))
        return [
            trial
            for trial in found
            if (kinds is None or trial.kind in kinds)
            and (statuses is None or trial.status in statuses)
        ]

    def tallies(self, study: str | None = None) -> defaultdict[str, Tally]:
        """By study, or of one alone; told without a look at what each trial is."""
        query = (
            "SELECT study, count(*), total(status = 'running'), max(number), total(started_at), "
            "total(ended_at), total(cost_s) FROM trials WHERE study = ?1 OR ?1 IS NULL "
            "GROUP BY study"
        )
        with self._database.reading() as connection:
            found = [tuple(row) for row in connection.execute(query, (study,))]
        tallies = {name: Tally(rest[0], int(rest[1]), tuple(rest)) for name, *rest in found}
        return defaultdict(lambda: Tally(0, 0, ()), tallies)

    def some_trials(self, study: Study, *, latest: int, best: int, also: str = "") -> list[Trial]:
        """The trials of `study` that were planned last, and those with the best single scores.

        In the order in which they were planned; `also` is the id of one that has to be among them.
        """
        sign = 1 if study.higher_is_better else -1
        query = (
            "id = ?5 AND study = ?1 OR number IN ("
            "SELECT number FROM trials WHERE study = ?1 ORDER BY number DESC LIMIT ?2) "
            "OR number IN (SELECT number FROM trials WHERE study = ?1 AND status = 'done' "
            "AND kind != 'test' AND json_valid(metrics) "  # NaN is not
            "AND typeof(json_extract(metrics, ?3)) IN ('real', 'integer') "
            "ORDER BY ?6 * json_extract(metrics, ?3) DESC LIMIT ?4)"
        )
        path = f"$.{json.dumps(study.metric)}"
        with self._database.reading() as connection:
            values = (study.name, latest, path, best, also, sign)
            return rows.select_trials(connection, query, values)

    def latest(
        self, study: str, *, note: str | None = None, artifacts: str | None = None
    ) -> Trial | None:
        """The trial of this note, or of this folder, that was planned last; tests do not count."""
        query = (
            "number = (SELECT max(number) FROM trials WHERE study = ?1 AND kind != 'test' "
            "AND (?2 IS NULL OR note = ?2) AND (?3 IS NULL OR artifacts = ?3))"
        )
        with self._database.reading() as connection:
            found = rows.select_trials(connection, query, (study, note, artifacts))
        return found[0] if found else None

    def children(self, trial_id: str) -> list[Trial]:
        """What was changed from this trial, the first planned first."""
        with self._database.reading() as connection:
            rows.required_trial(connection, trial_id)
            return rows.select_trials(connection, "parent = ?", (trial_id,))

    def some_children(self, trial_id: str, most: int) -> tuple[int, list[Trial]]:
        """How many were changed from this trial, and the first planned of them."""
        query = "number IN (SELECT number FROM trials WHERE parent = ? ORDER BY number LIMIT ?)"
        with self._database.reading() as connection:
            counting = connection.execute(
                "SELECT count(*) FROM trials WHERE parent = ?", (trial_id,)
            )
            (count,) = counting.fetchone()
            return int(count), rows.select_trials(connection, query, (trial_id, most))

    def lineage(self, trial_id: str) -> list[Trial]:
        """From the trial where the tree begins to this one."""
        with self._database.reading() as connection:
            line = [rows.required_trial(connection, trial_id)]
            while (parent := line[-1].parent) is not None:
                if any(trial.id == parent for trial in line):
                    raise DamagedRowError(f"the trial {parent} is its own ancestor")
                line.append(rows.required_trial(connection, parent))
        return line[::-1]

    def history(self, trial_id: str) -> list[dict[str, Any]]:
        """The trial's records by epoch or evaluation; empty when none were kept."""
        with self._database.reading() as connection:
            return rows.read_history(connection, trial_id)

    def leaderboard(
        self,
        study: str,
        metric: str,
        *,
        higher_is_better: bool = True,
        kinds: Collection[Kind] = RANKED_KINDS,
    ) -> list[Standing]:
        """As `standing.leaderboard`, of one study."""
        return leaderboard(
            self.trials(study), metric, higher_is_better=higher_is_better, kinds=kinds
        )

    def used(self, study: str) -> Used:
        """What the study has spent so far."""
        return used_by(self.trials(study))

    def diff(self, a: str, b: str) -> str:
        """What changed from trial `a` to trial `b`: config as YAML, then code; "" for nothing."""
        return difference(self.get(a), self.get(b))
