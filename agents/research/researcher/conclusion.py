"""What is believed in the end, and why: the findings of a study, its choice and its verdict."""

import math
from collections.abc import Iterator
from statistics import fmean
from typing import NamedTuple

from agents.ml.selection.facts import Facts
from agents.ml.selection.merit import merit
from agents.research.researcher.finding import Finding
from agents.research.researcher.messages import (
    BaselineFitted,
    Contestant,
    ModelsBlended,
    StudyReport,
    TestOpened,
    TrialRun,
)
from agents.research.researcher.noise import Estimate, accuracies_apart, difference, estimate
from agents.research.researcher.recipes import describe
from agents.research.researcher.state import Study, Trial
from agents.research.researcher.steps import BLEND, TEST


class Contender(NamedTuple):
    """A candidate, classical model or ensemble with its scores by fold."""

    name: str
    per_fold: dict[int, dict[str, float]]
    trials: tuple[Trial, ...]

    @property
    def merits(self) -> dict[int, float]:
        return {fold: merit(scores) for fold, scores in self.per_fold.items()}

    @property
    def accuracy(self) -> Estimate:
        return estimate([scores["accuracy"] for scores in self.per_fold.values()])


def networks(study: Study) -> list[Contender]:
    """Every candidate that was trained fully at least once, the best first.

    Where none was, those that were trained longest: a short budget has a result, too.
    """
    found: dict[str, dict[int, tuple[Trial, TrialRun]]] = {}
    longest = max((trial.rung for trial in study.trials if _run(study, trial)), default=0)
    for trial in study.trials:
        run = _run(study, trial) if trial.rung == longest else None
        if run is not None:
            found.setdefault(trial.candidate, {})[trial.fold] = (trial, run)
    contenders = [
        Contender(
            name,
            {fold: run.metrics for fold, (_, run) in sorted(folds.items())},
            tuple(trial for _, (trial, _) in sorted(folds.items())),
        )
        for name, folds in found.items()
    ]
    return _by_merit(contenders)


def classical(study: Study) -> list[Contender]:
    """Every classical model that came to an end, the best first."""
    found = []
    for trial in study.trials:
        fitted = study.done(trial.step, BaselineFitted) if trial.kind == "baseline" else None
        if fitted is not None:
            found.append(Contender(trial.candidate, dict(enumerate(fitted.per_fold)), (trial,)))
    return _by_merit(found)


def complete(study: Study, facts: Facts) -> list[Contender]:
    """Those that were measured on every fold, the best first."""
    everything = [*networks(study), *classical(study)]
    return _by_merit([each for each in everything if len(each.per_fold) == facts.folds])


def blended(study: Study, facts: Facts) -> Contender | None:
    """The ensemble, where it has more than one member."""
    answer = study.done(BLEND, ModelsBlended)
    if answer is None or len(answer.weights) < 2:  # noqa: PLR2004  one alone is no ensemble
        return None
    members = [each for each in complete(study, facts) if each.name in answer.weights]
    trials = tuple(trial for each in members for trial in each.trials)
    return Contender(BLEND, dict(enumerate(answer.per_fold)), trials)


def chosen(study: Study, facts: Facts) -> Contender | None:
    """What is believed to be best: by its mean, among what was measured on every fold.

    All of these have the same number of measurements on the same folds, and their errors differ by
    chance more than in truth: to take off each its own would favour the lucky. A network that the
    budget left with some folds has to be surely better than that. Without any that has them all,
    the network with the most folds.
    """
    ensemble = blended(study, facts)
    contenders = [*([ensemble] if ensemble else []), *complete(study, facts)]
    if contenders:
        best = max(contenders, key=lambda each: fmean(each.merits.values()))
        return next(_surely_better(study, facts, best), best)
    by_folds = sorted(networks(study), key=lambda each: -len(each.per_fold))
    return by_folds[0] if by_folds else None


def _surely_better(study: Study, facts: Facts, best: Contender) -> Iterator[Contender]:
    """Networks with some folds that are better than `best` by more than noise, the best first.

    Few folds are those of many candidates, the luckiest of which is looked at: to count, its lead
    has to be twice its error.
    """
    for each in networks(study):
        if len(each.per_fold) < facts.folds:
            apart = _apart(each, best, facts)
            if apart.mean > (1 if _has_half(each, facts) else 2) * apart.error:
                yield each


def _apart(one: Contender, other: Contender, facts: Facts) -> Estimate:
    """By how much `one` is more accurate than `other`, which was measured on every fold.

    By pairs of folds, where there are enough of them, else by the numbers of samples.
    """
    mine, theirs = (
        {fold: scores["accuracy"] for fold, scores in each.per_fold.items()}
        for each in (one, other)
    )
    pairs = difference(mine, theirs)
    assert pairs is not None  # one of them has every fold
    if _has_half(one, facts):
        return pairs
    samples = [facts.samples * len(each) // facts.folds for each in (mine, theirs)]
    return accuracies_apart(fmean(mine.values()), samples[0], fmean(theirs.values()), samples[1])


def _has_half(one: Contender, facts: Facts) -> bool:
    return len(one.per_fold) >= max(2, math.ceil(facts.folds / 2))


def contestants(study: Study, facts: Facts) -> dict[str, Contestant]:
    """What is shown the held-out test: what was chosen, and the best of the others' kinds."""
    best = chosen(study, facts)
    shown = {best.name: best} if best else {}
    for others in (networks(study), classical(study)):
        if others:
            shown.setdefault(others[0].name, others[0])
    return {name: _contestant(study, facts, each) for name, each in shown.items()}


def findings(study: Study, facts: Facts) -> list[Finding]:
    """Everything that was fully measured at least once, the best first."""
    ensemble = blended(study, facts)
    everything = [*networks(study), *classical(study), *([ensemble] if ensemble else [])]
    return [_finding(study, each) for each in _by_merit(everything)]


def verdict(study: Study, facts: Facts) -> str:
    """Whether the network was worth its while, by the folds, and what makes that doubtful."""
    return " ".join([_verdict(study, facts), *facts.doubts])


def _verdict(study: Study, facts: Facts) -> str:
    best, known = chosen(study, facts), classical(study)
    if best is None:
        return "Nothing that was tried came to an end."
    if best.accuracy.n > 1 and best.accuracy.sure <= facts.chance:
        return (
            f"Nothing that was tried is better than guessing by more than noise: the most frequent "
            f"class alone has {100 * facts.chance:.2f} %, {best.name} "
            f"{100 * best.accuracy.mean:.2f} ± {100 * best.accuracy.error:.2f} %."
        )
    if not known:
        return f"{best.name} is the best that was found; no classical model came to an end."
    rival = known[0]
    if best.name == rival.name:
        return (
            f"The classical model {rival.name} wins: nothing that was trained is better on the "
            "folds by more than noise."
        )
    apart = _apart(best, rival, facts)
    told = f"{100 * apart.mean:+.2f} points of accuracy, ± {100 * apart.error:.2f}, on the folds"
    if apart.mean > apart.error:
        return f"{best.name} is better than the best classical model, {rival.name}: {told}."
    return (
        f"{best.name} is not better than the best classical model, {rival.name}, by more than "
        f"noise ({told}): take {rival.name} where simplicity counts."
    )


def report_of(study: Study, facts: Facts, record: str) -> StudyReport:
    """The answer to everybody who asked for the study, before its report is written.

    `record` is the id in the experiment store of a trial of what was chosen.
    """
    best, opened = chosen(study, facts), tests(study)
    assert best is not None  # else the study failed
    answer = study.done(BLEND, ModelsBlended)
    return StudyReport(
        name=study.request.name,
        folder=study.request.folder,
        chosen=best.name,
        record=record,
        members=answer.weights if answer and best.name == BLEND else {best.name: 1.0},
        findings=tuple(findings(study, facts)),
        tests=opened.scores if opened else (),
        verdict=verdict(study, facts),
        trials=len(study.trials),
        failures=tuple(f"{name}: {s.error}" for name, s in study.steps.items() if s.error),
        seconds=study.elapsed_s,
        tokens=study.tokens,
    )


def tests(study: Study) -> TestOpened | None:
    return study.done(TEST, TestOpened)


def _run(study: Study, trial: Trial) -> TrialRun | None:
    """How a candidate's trial went, None for one without a score."""
    run = study.done(trial.step, TrialRun) if trial.kind != "baseline" else None
    return run if run is not None and run.metrics else None


def _by_merit(contenders: list[Contender]) -> list[Contender]:
    return sorted(contenders, key=lambda each: (-fmean(each.merits.values()), each.name))


def _contestant(study: Study, facts: Facts, one: Contender) -> Contestant:
    if one.name != BLEND:
        return Contestant(trials=[[t.id for t in one.trials]], weights=[1.0], sharpness=[1.0])
    answer = study.done(BLEND, ModelsBlended)
    assert answer is not None  # there is an ensemble
    members = {each.name: each for each in complete(study, facts)}
    return Contestant(
        trials=[[t.id for t in members[name].trials] for name in answer.weights],
        weights=list(answer.weights.values()),
        sharpness=[answer.sharpness[name] for name in answer.weights],
    )


def _finding(study: Study, one: Contender) -> Finding:
    candidate = study.candidates.get(one.name)
    accuracy = one.accuracy
    runs = [run for t in one.trials if (run := study.done(t.step, TrialRun))] if candidate else []
    return Finding(
        name=one.name,
        kind="ensemble" if one.name == BLEND else "network" if candidate else "classical",
        proposer=candidate.proposer if candidate else "",
        what=describe(candidate.recipe or {}) if candidate else _what(study, one),
        accuracy=accuracy.mean,
        error=accuracy.error if accuracy.n > 1 else None,
        loss=fmean(scores["loss"] for scores in one.per_fold.values()),
        folds=len(one.per_fold),
        cost_s=sum(_cost(study, trial) for trial in study.trials if trial.candidate == one.name),
        params=runs[0].params if runs else None,
    )


def _what(study: Study, one: Contender) -> str:
    if one.name != BLEND:
        return one.name.replace("_", " ")
    answer = study.done(BLEND, ModelsBlended)
    weights = answer.weights.items() if answer else ()
    return ", ".join(f"{100 * weight:.0f}% {name}" for name, weight in weights)


def _cost(study: Study, trial: Trial) -> float:
    step = study.steps.get(trial.step)
    return float((step.answer or {}).get("cpu_s", 0.0)) if step else 0.0
