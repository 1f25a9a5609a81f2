"""What is told of studies and trials, as JSON; however much there is, a sheet is bounded."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from agents.research.experiments.queries import Tally
from agents.research.experiments.standing import Standing
from agents.research.experiments.study import Study
from agents.research.experiments.tree import Branch, flat
from agents.research.experiments.trial import Kind, Status, Trial
from agents.research.report.study.content import StudyFindings
from agents.research.report.study.reading import Reading

MOST_BRANCHES = 1_000
MOST_POINTS = 1_000
MOST_RANKED = 500
MOST_RELATED = 50
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
    """A study in a list.

    Attributes:
        worked_s, best: of those of its trials that were read, where they are very many.
    """

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


class StudyList(Sheet):
    """Studies at which work goes on, then those that were begun last.

    Attributes:
        left_off: how many more there are.
    """

    studies: tuple[StudyRow, ...]
    left_off: int


class BranchRow(Sheet):
    """A configuration in the tree of what was tried, above those that change it.

    Attributes:
        depth: 0 begins a tree.
        trial: the first of its seeds; `latest` is that which was planned last.
        gain: how much better its mean is than its parent's.
        state: of the seed that was planned last.
    """

    depth: int
    trial: str
    latest: str
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


class RankedRow(Sheet):
    """A configuration in the ranking, baselines among them; those without a score come last."""

    rank: int | None
    trial: str
    latest: str
    label: str
    kind: Kind
    proposer: str
    note: str
    state: Status
    seeds: int
    mean: Figure
    error: Figure


class PointRow(Sheet):
    """A score, in the order in which scores came in, and the best until then."""

    trial: str
    number: int
    elapsed_s: float
    score: Figure
    best: Figure


class LeftOff(Sheet):
    """How many there are beyond the most that are told: points are the earliest, others the last.

    Attributes:
        trials: those that were not even read, of a study of very many: neither planned of late nor
            among the best.
    """

    branches: int = 0
    points: int = 0
    ranking: int = 0
    trials: int = 0


class Named(Sheet):
    """A trial with what its configuration is called."""

    id: str
    label: str
    seed: int
    state: Status


class RelativesLeftOff(Sheet):
    lineage: int = 0
    children: int = 0
    seeds: int = 0


class StudySheet(StudyRow):
    """A study with its tree, its progress and its ranking.

    Attributes:
        at_work: trials that run now, those that were begun last.
    """

    at_work: tuple[Named, ...]
    branches: tuple[BranchRow, ...]
    points: tuple[PointRow, ...]
    ranking: tuple[RankedRow, ...]
    left_off: LeftOff


class TrialSheet(Sheet):
    """All that is known of a trial but its curves.

    Attributes:
        lineage: from where the tree begins, or from as far back as is told, to this trial.
        children: what was changed from it.
        seeds: trials of the same configuration, itself among them.
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
    lineage: tuple[Named, ...]
    children: tuple[Named, ...]
    seeds: tuple[Named, ...]
    left_off: RelativesLeftOff


class Curves(Sheet):
    """Records of a training, in the order of its steps.

    Attributes:
        records: figures by name, None for what was no number; those of one record belong to one
            step.
        of: what they are records of; numbers count in it alone. It is another one once a trial has
            ended, or was begun again.
        next: the number of the first record that is not among them.
        is_more: whether there are more already.
        is_over: whether these are the last.
    """

    records: tuple[dict[str, float | None], ...]
    of: str
    next: int
    is_more: bool
    is_over: bool


def study_row(study: Study, trials: Sequence[Trial], tally: Tally) -> StudyRow:
    return StudyRow(**_row(_reading(study, trials), tally))


def study_sheet(study: Study, trials: Sequence[Trial], tally: Tally) -> StudySheet:
    reading = _reading(study, trials)
    branches, points, ranking = list(flat(reading.tree)), reading.points, reading.leaderboard
    return StudySheet(
        **_row(reading, tally),
        at_work=tuple(
            _named(reading, trial) for trial in reversed(trials) if trial.state == "running"
        )[:MOST_RELATED],
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
        ranking=tuple(_ranked(reading, each) for each in ranking[:MOST_RANKED]),
        left_off=LeftOff(
            branches=max(0, len(branches) - MOST_BRANCHES),
            points=max(0, len(points) - MOST_POINTS),
            ranking=max(0, len(ranking) - MOST_RANKED),
            trials=max(0, tally.trials - len(trials)),
        ),
    )


def trial_sheet(
    study: Study,
    trials: Sequence[Trial],
    trial: Trial,
    lineage: Sequence[Trial],
    children: Sequence[Trial],
    *,
    more_children: int = 0,
) -> TrialSheet:
    """`trials` are what the names of the others are told apart by."""
    reading = _reading(study, trials)
    same = (trial.kind, trial.fingerprint)
    seeds = [each for each in trials if (each.kind, each.fingerprint) == same]
    known = {name: getattr(trial, name) for name in TrialSheet.model_fields if hasattr(trial, name)}
    return TrialSheet.model_validate(
        known
        | {
            "code": trial.code[:MOST_CODE_CHARS],
            "label": _label(reading, trial),
            "lineage": tuple(_named(reading, each) for each in lineage[-MOST_RELATED:]),
            "children": tuple(_named(reading, each) for each in children),
            "seeds": tuple(_named(reading, each) for each in seeds[:MOST_RELATED]),
            "left_off": RelativesLeftOff(
                lineage=max(0, len(lineage) - MOST_RELATED),
                children=more_children,
                seeds=max(0, len(seeds) - MOST_RELATED),
            ),
        }
    )


def figures(record: Mapping[str, Any]) -> dict[str, float | None]:
    """The numbers in a record; texts and truth values are left out, null stays as unknown."""
    return {
        name: None if value is None else _finite(_float(value))
        for name, value in record.items()
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    }


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # JSON has longer integers
        return math.inf


def _label(reading: Reading, trial: Trial) -> str:
    return reading.label(trial) if reading.trial(trial.id) else reading.name(trial) or trial.id


def _named(reading: Reading, trial: Trial) -> Named:
    label = _label(reading, trial)
    return Named(id=trial.id, label=label, seed=trial.seed, state=trial.state)


def _reading(study: Study, trials: Sequence[Trial]) -> Reading:
    return Reading(StudyFindings(study=study, trials=list(trials)))


def _row(reading: Reading, tally: Tally) -> dict[str, Any]:
    study, best = reading.study, reading.best
    return {
        "name": study.name,
        "dataset": study.dataset,
        "metric": study.metric,
        "higher_is_better": study.higher_is_better,
        "created_at": study.created_at,
        "ended_at": study.ended_at,
        "trials": tally.trials,
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
    told = _standing(reading, branch.standing)
    return BranchRow(depth=depth, gain=branch.gain, **told)


def _ranked(reading: Reading, standing: Standing) -> RankedRow:
    return RankedRow(**_standing(reading, standing))


def _standing(reading: Reading, standing: Standing) -> dict[str, Any]:
    trial = reading.first_of(standing)
    latest = reading.trial(standing.trials[-1]) or trial
    return {
        "rank": standing.rank,
        "trial": trial.id,
        "label": reading.label(trial),
        "kind": trial.kind,
        "proposer": trial.proposer,
        "note": trial.note,
        "latest": latest.id,
        "state": latest.state,
        "seeds": len(standing.trials),
        "mean": standing.mean,
        "error": standing.standard_error,
    }
