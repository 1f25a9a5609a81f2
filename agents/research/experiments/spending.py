"""What a study has spent."""

from collections.abc import Iterable
from typing import NamedTuple

from agents.research.experiments.trial import Trial


class Used(NamedTuple):
    """What a study has spent, its failed attempts included.

    Attributes:
        trials: trainings that were begun, and baselines: one for all its seeds or folds.
        seconds: the cost of all trials together.
        tokens: of language models.
        worked_s: how long at least one trial was at work; a pause counts where one was cut short by
            it and went on.
    """

    trials: int
    seconds: float
    tokens: int
    worked_s: float


def used_by(trials: Iterable[Trial]) -> Used:
    begun = [trial for trial in trials if trial.status != "planned"]
    trainings = sum(trial.kind in ("quick", "full") for trial in begun)
    baselines = {trial.fingerprint for trial in begun if trial.kind == "baseline"}
    return Used(
        trials=trainings + len(baselines),
        seconds=sum(trial.cost_s for trial in begun),
        tokens=sum(trial.tokens for trial in begun),
        worked_s=_worked_s(begun),
    )


def _worked_s(trials: Iterable[Trial]) -> float:
    """The length of all times of work together, what several share counted once."""
    times = sorted(
        (trial.started_at, trial.ended_at)
        for trial in trials
        if trial.started_at is not None and trial.ended_at is not None
    )
    worked, until = 0.0, float("-inf")
    for start, end in times:
        worked += max(0.0, end - max(start, until))
        until = max(until, end)
    return worked
