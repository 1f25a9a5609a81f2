"""What is told of studies and trials, as JSON; however much there is, a sheet is bounded."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from agents.research.experiments.spending import Used
from agents.research.experiments.standing import Standing
from agents.research.experiments.study import Study
from agents.research.experiments.tree import Branch, flat
from agents.research.experiments.trial import Kind, Status, Trial
from agents.research.report.study.content import StudyFindings
from agents.research.report.study.reading import Reading

MOST_BRANCHES = 1_000
MOST_POINTS = 1_000
MOST_CODE_CHARS = 200_000


def _finite(value: float | None) -> float | None:
    """JSON has no word for other numbers."""
    return value if value is not None and math.isfinite(value) else None


Figure = Annotated[float | None, AfterValidator(_finite)]


class Sheet(BaseModel):
    model_config = ConfigDict(frozen=True)


class Best(Sheet):
    """What is believed to be best in a study.

    Attributes:
        trial: the first of its seeds.
        error: standard error of the mean; None for a single seed.
    """

    trial: str
    label: str
    proposer: str
    mean: Figure
    error: Figure


class StudyRow(Sheet):
    """A study in a list."""

    name: str
    dataset: str
    metric: str
    higher_is_better: bool
    created_at: float
    ended_at: float | None
    trials: int
    running: int
    worked_s: float
    best: Best | None


class BranchRow(Sheet):
    """A configuration in the tree of what was tried, above those that change it.

    Attributes:
        depth: 0 begins a tree.
        gain: how much better its mean is than its parent's.
        state: of the seed that was planned last.
    """

    depth: int
    trial: str
    label: str
    kind: Kind
    proposer: str
    note: str
    state: Status
    seeds: int
    mean: Figure
    error: Figure
    gain: Figure
    rank: int | None


class PointRow(Sheet):
    """A score, in the order in which scores came in, and the best until then."""

    trial: str
    number: int
    elapsed_s: float
    score: Figure
    best: Figure


class StudySheet(StudyRow):
    """A study with its tree and its progress.

    Attributes:
        left_off: branches, or points, beyond the most that are told.
    """

    used: Used
    branches: tuple[BranchRow, ...]
    points: tuple[PointRow, ...]
    left_off: int


class TrialSheet(Sheet):
    """All that is known of a trial but its curves.

    Attributes:
        lineage: ids from where the tree begins to this trial.
        children: ids of what was changed from it.
    """

    id: str
    study: str
    label: str
    kind: Kind
    proposer: str
    note: str
    state: Status
    seed: int
    config: dict[str, Any]
    code: str
    metrics: dict[str, Figure]
    error: str
    cost_s: float
    tokens: int
    created_at: float
    started_at: float | None
    ended_at: float | None
    lineage: tuple[str, ...]
    children: tuple[str, ...]


class Curves(Sheet):
    """Records of a training, in the order of its steps.

    Attributes:
        records: figures by name; those of one record belong to one step.
        next: the number of the first record that is not among them.
        is_over: whether no more will come.
    """

    records: tuple[dict[str, float], ...]
    next: int
    is_over: bool


def study_row(study: Study, trials: Sequence[Trial]) -> StudyRow:
    return StudyRow(**_row(_reading(study, trials)))


def study_sheet(study: Study, trials: Sequence[Trial]) -> StudySheet:
    reading = _reading(study, trials)
    branches, points = list(flat(reading.tree)), reading.points
    over = max(0, len(branches) - MOST_BRANCHES) + max(0, len(points) - MOST_POINTS)
    return StudySheet(
        **_row(reading),
        used=reading.used,
        branches=tuple(_branch(reading, *each) for each in branches[:MOST_BRANCHES]),
        points=tuple(
            PointRow(
                trial=point.trial.id,
                number=point.number,
                elapsed_s=point.elapsed_s,
                score=point.score,
                best=point.best,
            )
            for point in points[-MOST_POINTS:]
        ),
        left_off=over,
    )


def trial_sheet(
    study: Study, trials: Sequence[Trial], trial: Trial, lineage: Iterable[Trial]
) -> TrialSheet:
    reading = _reading(study, trials)
    known = {name: getattr(trial, name) for name in TrialSheet.model_fields if hasattr(trial, name)}
    return TrialSheet.model_validate(
        known
        | {
            "code": trial.code[:MOST_CODE_CHARS],
            "label": reading.label(trial),
            "lineage": tuple(each.id for each in lineage),
            "children": tuple(each.id for each in trials if each.parent == trial.id),
        }
    )


def curves(records: Sequence[Mapping[str, Any]], after: int, *, is_over: bool) -> Curves:
    """The figures among what `records` say; what is no number is no point of a curve."""
    return Curves(
        records=tuple(_figures(record) for record in records),
        next=after + len(records),
        is_over=is_over,
    )


def _figures(record: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in record.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _reading(study: Study, trials: Sequence[Trial]) -> Reading:
    return Reading(StudyFindings(study=study, trials=list(trials)))


def _row(reading: Reading) -> dict[str, Any]:
    study, best = reading.study, reading.best
    return {
        "name": study.name,
        "dataset": study.dataset,
        "metric": study.metric,
        "higher_is_better": study.higher_is_better,
        "created_at": study.created_at,
        "ended_at": study.ended_at,
        "trials": len(reading.trials),
        "running": sum(trial.state == "running" for trial in reading.trials),
        "worked_s": reading.used.worked_s,
        "best": None if best is None else _best(reading, best),
    }


def _best(reading: Reading, best: Standing) -> Best:
    trial = reading.first_of(best)
    return Best(
        trial=trial.id,
        label=reading.label(trial),
        proposer=best.proposer,
        mean=best.mean,
        error=best.standard_error,
    )


def _branch(reading: Reading, depth: int, branch: Branch) -> BranchRow:
    standing, trial = branch.standing, branch.trial
    latest = reading.trial(standing.trials[-1]) or trial
    return BranchRow(
        depth=depth,
        trial=trial.id,
        label=reading.label(trial),
        kind=trial.kind,
        proposer=trial.proposer,
        note=trial.note,
        state=latest.state,
        seeds=len(standing.trials),
        mean=standing.mean,
        error=standing.standard_error,
        gain=branch.gain,
        rank=standing.rank,
    )
