"""What is believed in the end, and what the experiment store is told of it."""

from pathlib import Path

import pytest

from agents.research.experiments import ExperimentStore, store_path
from agents.research.researcher import conclusion, records
from agents.research.researcher.messages import BaselineFitted, DataDealt, RecipeProposed, TrialRun
from agents.research.researcher.places import Places
from agents.research.researcher.state import Candidate, Study, Trial
from agents.research.researcher.steps import DATA, propose
from agents.research.stepwise.work import Step
from messaging import Message
from tests.research.researcher.world import FACTS, study

FOLDS = 5
FACTS_5 = FACTS.model_copy(update={"folds": FOLDS})
CLASSICAL = (0.95, 0.96, 0.97, 0.96, 0.95)


def told(one: Study, step: str, answer: Message) -> None:
    said = answer.model_dump(mode="json")
    one.steps[step] = Step(agent="trainer", asked_at=0.0, ended_at=1.0, answer=said)


def scores(accuracy: float) -> dict[str, float]:
    return {"accuracy": accuracy, "loss": 0.1}


def tried(*accuracies: float) -> Study:
    """A classical model on every fold, and a network on as many as there are accuracies."""
    one = study(folds=FOLDS)
    told(one, DATA, DataDealt(facts=FACTS_5))
    one.trials = [Trial(number=0, kind="baseline", candidate="k_nearest")]
    per_fold = [scores(each) for each in CLASSICAL]
    told(one, "trial 0", BaselineFitted(metrics=scores(0.96), per_fold=per_fold, cpu_s=0.1))
    one.candidates = {"c1": Candidate(name="c1", proposer="search", recipe={"family": "mlp"})}
    for fold, accuracy in enumerate(accuracies):
        trial = Trial(number=fold + 1, kind="full", candidate="c1", rung=2, fold=fold, epochs=9)
        one.trials.append(trial)
        told(one, trial.step, run(accuracy))
    return one


def run(accuracy: float) -> TrialRun:
    return TrialRun(status="done", metrics=scores(accuracy), params=10, steps=5, cpu_s=1.5)


@pytest.mark.parametrize(
    ("accuracies", "name"),
    [
        ((0.97, 0.98, 0.99, 0.98, 0.97), "c1"),  # better on every fold
        ((0.95, 0.96, 0.97, 0.96, 0.94), "k_nearest"),
        ((0.97, 0.98, 0.99), "c1"),  # the budget ended; better on most of the folds
        ((0.94, 0.99, 0.97), "k_nearest"),  # better by chance, perhaps
        ((0.96, 0.97), "k_nearest"),  # on too few folds to tell
        ((0.99,), "c1"),  # on one, by three times the error of its 180 samples and the others'
        ((0.98,), "k_nearest"),  # by less than twice that
        ((1.0,), "c1"),
        ((0.90, 0.91, 0.92), "k_nearest"),
    ],
)
def test_what_was_measured_on_some_folds_is_believed_if_it_is_surely_better_on_these(
    accuracies: tuple[float, ...], name: str
) -> None:
    one = tried(*accuracies)
    best = conclusion.chosen(one, FACTS_5)
    assert best is not None
    assert best.name == name
    assert name in conclusion.verdict(one, FACTS_5)
    assert name in conclusion.contestants(one, FACTS_5)


def test_what_a_proposal_took_is_kept_with_its_first_trial(tmp_path: Path) -> None:
    one = tried(0.9, 0.9)
    one.candidates["c1"] = Candidate(name="c1", proposer="llm", recipe={"family": "mlp"})
    told(one, propose("c1"), RecipeProposed(recipe={}, tokens=120, attempts=1, seconds=2.5))
    script = tmp_path / Places(one.request.folder).script("c1")
    script.parent.mkdir(parents=True)
    script.write_text("# a model")
    records.record_begin(tmp_path, one)
    for trial in one.trials[1:]:
        trial.record = records.record_asked(tmp_path, one, trial)
        records.record_ended(tmp_path, one, trial.step)

    with ExperimentStore(store_path(tmp_path)) as store:
        kept = [store.get(trial.record) for trial in one.trials[1:]]

    assert [trial.tokens for trial in kept] == [120, 0]
    assert [trial.cost_s for trial in kept] == [4.0, 1.5]
