"""The steps of a study by name, and how a trial hangs together with those before it."""

from agents.research.researcher.places import tokenizer_name
from agents.research.researcher.space import Recipe
from agents.research.researcher.state import Study, Trial

DATA = "data"
BLEND = "ensemble"
TEST = "held-out test"


def propose(candidate: str) -> str:
    return f"propose {candidate}"


def assemble(candidate: str) -> str:
    return f"assemble {candidate}"


def learn_tokenizer(recipe: Recipe) -> str:
    return f"tokenizer {tokenizer_name(recipe)}"


def has_ended(study: Study, trial: Trial) -> bool:
    """Whether a trial has a result, or it is known that it will have none."""
    return study.has_ended(trial.step) or bool(problem_of(study, trial))


def problem_of(study: Study, trial: Trial) -> str:
    """What kept a trial from being begun, "" where nothing did."""
    candidate = study.candidates.get(trial.candidate)
    if candidate is None:
        return ""
    steps = [propose(candidate.name), assemble(candidate.name)]
    if candidate.recipe is not None and "tokenizer" in candidate.recipe:
        steps.append(learn_tokenizer(candidate.recipe))
    return next((study.error(step) for step in steps if study.failed(step)), "")
