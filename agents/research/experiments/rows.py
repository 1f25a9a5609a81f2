"""Studies and trials as rows of their tables."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from agents.research.experiments.errors import DamagedRowError, UnknownStudyError, UnknownTrialError
from agents.research.experiments.study import Study
from agents.research.experiments.trial import Trial

_COLUMNS = tuple(Trial.model_fields)
_CHANGING = ("status", "metrics", "cost_s", "tokens", "error", "artifacts", "worker")
_TIMES = ("started_at", "ended_at")
_JSON = ("config", "metrics")


def insert_trial(connection: sqlite3.Connection, trial: Trial) -> None:
    values = ", ".join(f":{name}" for name in _COLUMNS)
    query = f"INSERT INTO trials ({', '.join(_COLUMNS)}) VALUES ({values})"  # noqa: S608  fixed
    connection.execute(query, _row(trial))


def update_trial(connection: sqlite3.Connection, trial: Trial) -> None:
    changes = ", ".join(f"{name} = :{name}" for name in (*_CHANGING, *_TIMES))
    connection.execute(f"UPDATE trials SET {changes} WHERE id = :id", _row(trial))  # noqa: S608  fixed


def select_trials(
    connection: sqlite3.Connection, where: str, values: Sequence[Any] = ()
) -> list[Trial]:
    """Those that `where` is true of, the first planned first."""
    query = f"SELECT {', '.join(_COLUMNS)} FROM trials WHERE {where} ORDER BY number"  # noqa: S608  fixed
    return [_trial(row) for row in connection.execute(query, values)]


def required_trial(connection: sqlite3.Connection, trial_id: str) -> Trial:
    """The trial of this id.

    Raises:
        UnknownTrialError: there is none.
    """
    found = select_trials(connection, "id = ?", (trial_id,))
    if not found:
        raise UnknownTrialError(trial_id)
    return found[0]


def insert_study(connection: sqlite3.Connection, study: Study) -> None:
    connection.execute(
        "INSERT INTO studies (name, study, created_at, ended_at) VALUES (?, ?, ?, ?)",
        (study.name, study.model_dump_json(), study.created_at, study.ended_at),
    )


def select_studies(connection: sqlite3.Connection) -> list[Study]:
    """All, the first begun first."""
    rows = connection.execute("SELECT study, ended_at FROM studies ORDER BY created_at, rowid")
    return [_study(row) for row in rows]


def find_study(connection: sqlite3.Connection, name: str) -> Study | None:
    query = "SELECT study, ended_at FROM studies WHERE name = ?"
    row = connection.execute(query, (name,)).fetchone()
    return None if row is None else _study(row)


def required_study(connection: sqlite3.Connection, name: str) -> Study:
    """The study of this name.

    Raises:
        UnknownStudyError: there is none; says which there are.
    """
    study = find_study(connection, name)
    if study is None:
        raise UnknownStudyError(name, [each.name for each in select_studies(connection)])
    return study


def write_history(
    connection: sqlite3.Connection, trial_id: str, history: Sequence[Mapping[str, Any]]
) -> None:
    records = json.dumps([dict(record) for record in history])
    connection.execute("INSERT OR REPLACE INTO histories VALUES (?, ?)", (trial_id, records))


def read_history(connection: sqlite3.Connection, trial_id: str) -> list[dict[str, Any]]:
    """The records that were written last; empty when none were."""
    query = "SELECT records FROM histories WHERE trial = ?"
    row = connection.execute(query, (trial_id,)).fetchone()
    if row is None:
        return []
    try:
        records = json.loads(row["records"])
    except (ValueError, RecursionError) as error:
        raise DamagedRowError(f"the history of trial {trial_id} cannot be read: {error}") from error
    return [dict(record) for record in records]


def _row(trial: Trial) -> dict[str, Any]:
    values = trial.model_dump()
    return values | {name: json.dumps(values[name]) for name in _JSON}


def _trial(row: sqlite3.Row) -> Trial:
    values = dict(row)
    try:
        return Trial.model_validate(values | {name: json.loads(values[name]) for name in _JSON})
    except (TypeError, ValueError, RecursionError) as error:
        raise DamagedRowError(f"the trial {values['id']!r} cannot be read: {error}") from error


def _study(row: sqlite3.Row) -> Study:
    try:
        study = Study.model_validate_json(row["study"])
    except (TypeError, ValueError) as error:
        raise DamagedRowError(f"a study cannot be read: {error}") from error
    return study.model_copy(update={"ended_at": row["ended_at"]})
