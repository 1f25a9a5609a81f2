"""`guildbus experiments list`, `show` and `compare`: nothing is changed."""

import math
from pathlib import Path
from typing import Any

from agents.research.experiments.command.opening import (
    consulted,
    find,
    has_store,
    nothing_in,
    telling,
)
from agents.research.experiments.store import ExperimentStore
from agents.research.experiments.study import Study
from agents.research.experiments.trial import Trial
from agents.research.report.study.content import StudyFindings
from agents.research.report.study.reading import Reading
from agents.research.report.study.scores import with_error
from agents.research.report.wording import MISSING, duration, moment
from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import OK, UsageError


@telling
async def list_studies(call: Call, workspace: Path) -> int:
    if not has_store(workspace):
        call.output.note(nothing_in(workspace))
        return OK
    with consulted(workspace) as store:
        readings = [_reading(store, study) for study in store.studies()]
    if call.output.as_json:
        for reading in readings:
            call.output.json(_study_line(reading))
        return OK
    from agents.research.experiments.command.tables import table  # noqa: PLC0415  rich

    columns = ["study", "dataset", "begun", "trials", "running", "best", "time", "state"]
    call.output.show(table("", columns, map(_row, readings), ["trials", "running", "best", "time"]))
    return OK


@telling
async def show_either(
    call: Call, workspace: Path, name: str, *, tree: bool, everything: bool, code: bool
) -> int:
    with consulted(workspace) as store:
        found = find(store, name)
        if isinstance(found, Trial):
            return _show_trial(call, store, found, code=code)
        if code:
            raise UsageError(f"{name} is a study; --code shows the code of a trial")
        return _show_study(call, store, found, tree=tree, everything=everything)


@telling
async def compare_two(call: Call, workspace: Path, one: str, other: str) -> int:
    with consulted(workspace) as store:
        first, second = _trial(store, one), _trial(store, other)
        diff = store.diff(first.id, second.id)
    if call.output.as_json:
        names = dict.fromkeys([*first.metrics, *second.metrics])
        pairs = {name: [first.metrics.get(name), second.metrics.get(name)] for name in names}
        call.output.json(
            finite({"one": first.id, "other": second.id, "metrics": pairs, "diff": diff})
        )
        return OK
    from agents.research.experiments.command.tables import comparison  # noqa: PLC0415  rich

    call.output.show(comparison(first, second, diff))
    return OK


def finite(value: Any) -> Any:
    """`value` as JSON can say it: what is no finite number is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value


def _show_trial(call: Call, store: ExperimentStore, trial: Trial, *, code: bool) -> int:
    if code:
        if not trial.code:
            raise UsageError(f"the trial {trial.id} has no code")
        call.output.text(trial.code.removesuffix("\n"))
        return OK
    lineage, children = store.lineage(trial.id), store.children(trial.id)
    if call.output.as_json:
        document = trial.model_dump() | {
            "lineage": [each.id for each in lineage],
            "children": [each.id for each in children],
            "history": store.history(trial.id),
        }
        call.output.json(finite(document))
        return OK
    from agents.research.experiments.command.tables import trial_sheet  # noqa: PLC0415  rich

    call.output.show(trial_sheet(trial, lineage, children))
    return OK


def _show_study(
    call: Call, store: ExperimentStore, study: Study, *, tree: bool, everything: bool
) -> int:
    reading = _reading(store, study)
    if call.output.as_json:
        trials = [trial.model_dump(exclude={"code"}) for trial in reading.trials]
        board = [standing.model_dump() for standing in reading.leaderboard]
        document = {"study": study.model_dump(), "used": reading.used._asdict()}
        call.output.json(finite(document | {"leaderboard": board, "trials": trials}))
        return OK
    from agents.research.experiments.command import tables  # noqa: PLC0415  rich

    shown = tables.tree(reading) if tree else tables.ranking(reading, everything=everything)
    call.output.show(shown)
    return OK


def _trial(store: ExperimentStore, name: str) -> Trial:
    """The trial, or a study's best.

    Raises:
        UsageError: the study has no best.
    """
    found = find(store, name)
    if isinstance(found, Trial):
        return found
    reading = _reading(store, found)
    if reading.best is None:
        raise UsageError(f"nothing in the study {name} has a score yet, so that it has no best")
    return reading.first_of(reading.best)


def _reading(store: ExperimentStore, study: Study) -> Reading:
    """What can be read in a study without the curves of its trials, which nothing here shows."""
    return Reading(StudyFindings(study=study, trials=store.trials(study.name)))


def _study_line(reading: Reading) -> dict[str, Any]:
    study, best = reading.study, reading.best
    line = {
        "name": study.name,
        "dataset": study.dataset,
        "metric": study.metric,
        "created_at": study.created_at,
        "ended_at": study.ended_at,
        "running": _running(reading),
        "used": reading.used._asdict(),
        "best": best.model_dump() if best is not None else None,
    }
    known: dict[str, Any] = finite(line)
    return known


def _row(reading: Reading) -> list[str]:
    study, best = reading.study, reading.best
    return [
        study.name,
        study.dataset or MISSING,
        moment(study.created_at),
        str(reading.used.trials),
        str(_running(reading) or ""),
        f"{study.metric} {with_error(study.metric, best)}" if best is not None else MISSING,
        duration(reading.used.worked_s),
        "ended" if study.ended_at is not None else "not ended",
    ]


def _running(reading: Reading) -> int:
    return sum(trial.state == "running" for trial in reading.trials)
