"""What a study leaves in the experiment store, as it goes on.

Everything is written before the bus commits what it follows from, and writing it again is nothing:
a study that is killed anywhere repeats its last step and finds it recorded.
"""

from pathlib import Path
from typing import Any

from agents.ml.selection.facts import Facts
from agents.research.experiments import Budget, ExperimentStore, store_path
from agents.research.experiments import Study as KeptStudy
from agents.research.experiments import Trial as KeptTrial
from agents.research.experiments.measured import forget_measured, read_measured
from agents.research.researcher.conclusion import blended, chosen
from agents.research.researcher.messages import (
    BaselineFitted,
    ModelsBlended,
    RecipeProposed,
    TestOpened,
    TrialRun,
)
from agents.research.researcher.places import Places
from agents.research.researcher.state import Study, Trial
from agents.research.researcher.steps import BLEND, TEST, propose
from agents.research.workspace.files import WorkspaceFiles

ASKED_TYPE = "research.study"
_SPEC = "research"  # the shipped guild that goes on with a study


def record_begin(workspace: Path, study: Study) -> None:
    """Keep what was asked.

    Raises:
        StudyConflictError: a study of this name was asked for something else.
    """
    request = study.request
    asked = KeptStudy(
        name=request.name,
        dataset=request.dataset,
        budget=Budget(**request.budget.model_dump()),
        asked=request.model_dump(mode="json"),
        asked_type=ASKED_TYPE,
        spec=_SPEC,
        created_at=study.started_at,
    )
    with ExperimentStore(store_path(workspace)) as store:
        store.begin(asked)


def is_known(workspace: Path, name: str) -> bool:
    """Whether the store has the study; not once it was forgotten."""
    with ExperimentStore(store_path(workspace)) as store:
        return any(study.name == name for study in store.studies())


def record_asked(workspace: Path, study: Study, trial: Trial) -> str:
    """Keep that a trial begins, and return its id in the store.

    Raises:
        UnknownStudyError: the study was forgotten; a trial of it would begin it anew.
    """
    with ExperimentStore(store_path(workspace)) as store:
        store.study(study.request.name)
        kept = store.plan(_planned(workspace, study, trial))
        store.start(kept.id)
        return kept.id


def record_ended(workspace: Path, study: Study, step: str) -> None:
    """Keep what came of a step: a trial, the ensemble or the held-out test."""
    with ExperimentStore(store_path(workspace)) as store:
        trial = next((each for each in study.trials if each.step == step), None)
        facts = study.facts
        if trial is not None and trial.kind == "baseline":
            _keep_baseline(store, study, trial)
        elif trial is not None:
            _keep_trial(store, study, trial, read_measured(workspace, trial.record))
            forget_measured(workspace, trial.record)
        elif step == BLEND and facts is not None:
            _keep_ensemble(store, study, facts)
        elif step == TEST and facts is not None:
            _keep_tests(store, study, facts)


def _planned(workspace: Path, study: Study, trial: Trial) -> KeptTrial:
    if trial.kind == "baseline":
        return _baseline_trial(study, trial, fold=0)
    candidate = study.candidates[trial.candidate]
    script = Places(study.request.folder).script(candidate.name)
    return KeptTrial.new(
        study=study.request.name,
        kind=trial.kind,
        config={"name": candidate.name, **(candidate.recipe or {}), "epochs": trial.epochs},
        code=WorkspaceFiles(workspace).read(script),
        seed=trial.fold,
        parent=_parent(study, trial),
        proposer=candidate.proposer,
        note=candidate.why if trial.rung == 0 else "among the best of a shorter training",
    )


def _parent(study: Study, trial: Trial) -> str | None:
    """The trial that this one goes on from: its own shorter one, else its parent's last."""
    of = [trial.candidate, *study.candidates[trial.candidate].parents]
    for candidate in of:
        before = [
            each
            for each in study.trials
            if each.candidate == candidate and each.record and each.number < trial.number
        ]
        if candidate == trial.candidate:
            before = [each for each in before if each.rung < trial.rung]
        if before:
            return max(before, key=lambda each: (each.rung, -each.number)).record
    return None


def _keep_trial(
    store: ExperimentStore, study: Study, trial: Trial, measured: list[dict[str, Any]]
) -> None:
    step, run = study.steps[trial.step], study.done(trial.step, TrialRun)
    proposed = _proposal(study, trial)
    if run is None:
        store.finish(
            trial.record,
            status="failed",
            cost_s=proposed.seconds,
            tokens=proposed.tokens,
            error=step.error,
            history=measured,
        )
        return
    is_diverged = run.status == "diverged"
    store.finish(
        trial.record,
        status=run.status,
        metrics={**run.metrics, "params": float(run.params)},
        cost_s=run.cpu_s + proposed.seconds,
        tokens=proposed.tokens,
        error=f"the loss was no finite number at step {run.steps}" if is_diverged else "",
        history=[{"step": step, "train_loss": loss} for step, loss in run.curve],
    )


def _proposal(study: Study, trial: Trial) -> RecipeProposed:
    """What a language model took to propose a candidate; told with the candidate's first trial."""
    first = next(each for each in study.trials if each.candidate == trial.candidate)
    found = study.done(propose(trial.candidate), RecipeProposed) if trial is first else None
    return found or RecipeProposed(recipe={}, tokens=0, attempts=0, seconds=0.0)


def _baseline_trial(study: Study, trial: Trial, fold: int) -> KeptTrial:
    return KeptTrial.new(
        study=study.request.name,
        kind="baseline",
        config={"name": trial.candidate},
        seed=fold,
        proposer="baseline",
        note="a classical model to compare with",
    )


def _keep_baseline(store: ExperimentStore, study: Study, trial: Trial) -> None:
    """A trial for each fold, so that it is compared as the candidates are."""
    fitted = study.done(trial.step, BaselineFitted)
    if fitted is None:
        store.finish(trial.record, status="failed", error=study.steps[trial.step].error)
        return
    for fold, metrics in enumerate(fitted.per_fold):
        cost_s = fitted.cpu_s if fold == 0 else 0.0
        _keep(store, _baseline_trial(study, trial, fold), metrics, cost_s)


def _keep_ensemble(store: ExperimentStore, study: Study, facts: Facts) -> None:
    answer, ensemble = study.done(BLEND, ModelsBlended), blended(study, facts)
    if answer is None or ensemble is None:
        return
    records = [trial.record for trial in ensemble.trials if trial.record]
    for fold, metrics in ensemble.per_fold.items():
        trial = KeptTrial.new(
            study=study.request.name,
            kind="ensemble",
            config={"name": BLEND, "weights": answer.weights},
            seed=fold,
            parent=records[0] if records else None,
            proposer="ensemble",
            note="an average of those that together do best",
        )
        _keep(store, trial, metrics)


def _keep_tests(store: ExperimentStore, study: Study, facts: Facts) -> None:
    opened, best = study.done(TEST, TestOpened), chosen(study, facts)
    for score in opened.scores if opened else ():
        is_chosen = best is not None and score.name == best.name
        trial = KeptTrial.new(
            study=study.request.name,
            kind="test",
            config={"name": score.name},
            proposer="researcher",
            note="what was chosen" if is_chosen else "shown beside it",
        )
        _keep(store, trial, {"accuracy": score.accuracy, "loss": score.loss})


def _keep(
    store: ExperimentStore, trial: KeptTrial, metrics: dict[str, float], cost_s: float = 0.0
) -> None:
    kept = store.plan(trial)
    store.start(kept.id)
    store.finish(kept.id, status="done", metrics=metrics, cost_s=cost_s)


def record_of(study: Study, name: str) -> str:
    """The id in the store of a trial of a candidate: of its longest training."""
    mine = [trial for trial in study.trials if trial.candidate == name and trial.record]
    return max(mine, key=lambda each: each.rung).record if mine else ""
