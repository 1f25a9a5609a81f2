"""What the trials of a study say, as far as a decision may see them."""

from collections.abc import Iterable
from typing import NamedTuple

from agents.ml.selection.merit import merit
from agents.research.researcher.noise import Estimate, estimate
from agents.research.researcher.state import Study, Trial
from agents.research.researcher.steps import has_ended


class Result(NamedTuple):
    """A trial that has ended; one without metrics failed or diverged."""

    trial: Trial
    metrics: dict[str, float]
    cost_s: float

    @property
    def is_good(self) -> bool:
        return bool(self.metrics)

    @property
    def merit(self) -> float:
        return merit(self.metrics)


def result_of(study: Study, trial: Trial) -> Result | None:
    """The result of a trial; None while it goes on."""
    if not has_ended(study, trial):
        return None
    step = study.steps.get(trial.step)
    if step is None:
        return Result(trial, {}, 0.0)
    if step.status == "failed" or step.answer is None:
        return Result(trial, {}, (step.ended_at or step.asked_at) - step.asked_at)
    answer = step.answer
    return Result(trial, answer.get("metrics") or {}, answer["cpu_s"])


class Results:
    """The first trials of a study, all of which have ended; what came later is not seen.

    So a decision depends on what it is given, not on which of several trials ended first.
    """

    def __init__(self, study: Study, seen: int) -> None:
        found = [result_of(study, trial) for trial in study.trials[:seen]]
        self.all = [result for result in found if result is not None]
        assert len(self.all) == len(found)  # decisions wait until they have ended
        self._networks = [r for r in self.all if r.trial.kind != "baseline" and r.is_good]

    def on_rung(self, rung: int) -> list[Result]:
        """The results of a rung, the best first."""
        there = [result for result in self._networks if result.trial.rung == rung]
        return sorted(there, key=lambda r: (-r.merit, r.trial.number))

    def full(self, candidate: str, top: int) -> dict[int, Result]:
        """The full trainings of a candidate, by fold."""
        mine = (r for r in self._networks if r.trial.candidate == candidate)
        return {r.trial.fold: r for r in mine if r.trial.rung == top}

    def estimates(self, top: int) -> dict[str, Estimate]:
        """Every candidate that was trained fully, with the merit of these trainings."""
        names = dict.fromkeys(r.trial.candidate for r in self._networks if r.trial.rung == top)
        return {name: estimate([r.merit for r in self.full(name, top).values()]) for name in names}

    def ranked(self) -> list[str]:
        """Candidates by what is known of them, the best first: the higher rung, then the merit."""
        best: dict[str, tuple[int, float, int]] = {}
        for result in self._networks:
            key = (result.trial.rung, result.merit, -result.trial.number)
            name = result.trial.candidate
            best[name] = max(best.get(name, key), key)
        return sorted(best, key=lambda name: best[name], reverse=True)

    def cost_per_epoch(self, candidates: Iterable[str] | None = None) -> float | None:
        """Seconds, of the slowest of `candidates`, or of any; None while nothing is known."""
        wanted = None if candidates is None else set(candidates)
        costs = [
            result.cost_s / result.trial.epochs
            for result in self._networks
            if wanted is None or result.trial.candidate in wanted
        ]
        return max(costs, default=None)
