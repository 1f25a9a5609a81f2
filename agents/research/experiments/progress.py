"""How a study went: the best so far, trial by trial, and who found it."""

from collections.abc import Iterable
from typing import NamedTuple

from agents.research.experiments.standing import RANKED_KINDS
from agents.research.experiments.trial import Trial


class Point(NamedTuple):
    """A trial that ended with a score.

    Attributes:
        number: of the trial in its study, from 1, in the order of planning.
        elapsed_s: from the study's first trial to this one's end.
        best: the best score until then, this one's included; a single seed's, so a lucky one.
        is_best: whether this trial raised it.
    """

    trial: Trial
    number: int
    elapsed_s: float
    score: float
    best: float
    is_best: bool


class Credit(NamedTuple):
    """What one proposer contributed.

    Attributes:
        trials: that were begun; `share` is of all of them.
        improvements: how often a trial of it was better than all before.
        gained: the sum of what these improved on the best before them.
        failed: trials without a score.
    """

    proposer: str
    trials: int
    share: float
    improvements: int
    gained: float
    failed: int
    best: float | None
    cost_s: float
    tokens: int


def progress(trials: Iterable[Trial], metric: str, *, higher_is_better: bool = True) -> list[Point]:
    """Scores in the order in which they came in."""
    tried = list(trials)
    number = {trial.id: index for index, trial in enumerate(tried, 1)}
    began_at = min((trial.created_at for trial in tried), default=0.0)
    better = max if higher_is_better else min
    ended = sorted(
        (trial for trial in tried if trial.kind in RANKED_KINDS and trial.ended_at is not None),
        key=lambda trial: (trial.ended_at or 0.0, number[trial.id]),
    )
    points: list[Point] = []
    for trial in ended:
        score = trial.score(metric)
        if score is None:
            continue
        before = points[-1].best if points else None
        best = score if before is None else better(before, score)
        elapsed_s = max(0.0, (trial.ended_at or 0.0) - began_at)
        points.append(Point(trial, number[trial.id], elapsed_s, score, best, best != before))
    return points


def credits_of(
    trials: Iterable[Trial], metric: str, *, higher_is_better: bool = True
) -> list[Credit]:
    """Each proposer's part, who improved most often first."""
    tried = [trial for trial in trials if trial.kind in RANKED_KINDS and trial.status != "planned"]
    points = progress(tried, metric, higher_is_better=higher_is_better)
    better = max if higher_is_better else min
    gains: dict[str, list[float]] = {}
    for before, point in zip([None, *points], points, strict=False):
        if point.is_best and before is not None:
            gains.setdefault(point.trial.proposer, []).append(abs(point.best - before.best))
        elif point.is_best:
            gains.setdefault(point.trial.proposer, []).append(0.0)  # the first is where all begins
    found = []
    for proposer in dict.fromkeys(trial.proposer for trial in tried):
        own = [trial for trial in tried if trial.proposer == proposer]
        scores = [score for trial in own if (score := trial.score(metric)) is not None]
        gained = gains.get(proposer, [])
        found.append(
            Credit(
                proposer=proposer,
                trials=len(own),
                share=len(own) / len(tried),
                improvements=len(gained),
                gained=sum(gained),
                failed=sum(trial.has_ended and trial.score(metric) is None for trial in own),
                best=better(scores) if scores else None,
                cost_s=sum(trial.cost_s for trial in own),
                tokens=sum(trial.tokens for trial in own),
            )
        )
    return sorted(found, key=lambda credit: (-credit.improvements, -credit.gained))
