"""A world in which a study is answered at once: a recipe's score follows from the recipe."""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from random import Random
from typing import Any

from pydantic import BaseModel

from agents.ml.selection.facts import Facts
from agents.research.messages import AssembleModel, ModelAssembled
from agents.research.researcher.budget import Budget
from agents.research.researcher.finding import TestScore
from agents.research.researcher.loop import next_asks
from agents.research.researcher.messages import (
    BaselineFitted,
    BlendModels,
    DataDealt,
    DealData,
    FitBaseline,
    ModelsBlended,
    OpenTest,
    ProposeRecipe,
    RecipeProposed,
    RunTrial,
    StudyRequest,
    TestOpened,
    TrialRun,
)
from agents.research.researcher.space import Space, space_for
from agents.research.researcher.state import Study
from agents.research.stepwise.asking import Ask
from agents.research.stepwise.work import Step

FACTS = Facts(
    kind="image",
    input_shape=(1, 8, 8),
    classes=3,
    class_names=("a", "b", "c"),
    samples=900,
    test_samples=100,
    folds=3,
    chance=0.4,
)
FAILS = "no such layer"
SECONDS_PER_EPOCH = 0.1
TOKENS = 100  # of a proposal


def study(trials: int | None = 30, **request: object) -> Study:
    budget = Budget(seconds=None, trials=trials)
    asked = StudyRequest.model_validate({"budget": budget, "folds": 3, **request})
    return Study(request=asked, started_at=0.0, clock_at=0.0)


def answer(message: BaseModel) -> BaseModel:  # noqa: PLR0911  one for each message
    """What a guild would say, as a function of what it is asked."""
    match message:
        case DealData():
            return DataDealt(facts=FACTS)
        case AssembleModel():
            return ModelAssembled(
                model_name=message.config["model_name"],
                script_path=message.output_script_path,
                generated_by="compiler",
                attempts=1,
                checks=(),
                total_params=10,
            )
        case ProposeRecipe():
            space = space_for(FACTS.kind, FACTS.input_shape, FACTS.samples)
            recipe = space.draw(Random(message.seed % 3))  # it often says the same
            return RecipeProposed(recipe=recipe, tokens=TOKENS, attempts=1, seconds=0.5)
        case RunTrial():
            return TrialRun(
                status="done",
                metrics=_scores(message.training, message.fold),
                params=10,
                steps=5,
                cpu_s=0.1 * message.training["epochs"],
            )
        case FitBaseline():
            per_fold = [_scores({"model": message.model}, fold) for fold in range(FACTS.folds)]
            return BaselineFitted(metrics=per_fold[0], per_fold=per_fold, cpu_s=0.1)
        case BlendModels():
            names = sorted(message.candidates)[:2]
            return ModelsBlended(
                weights=dict.fromkeys(names, 0.5),
                sharpness=dict.fromkeys(names, 1.0),
                metrics={"accuracy": 0.9, "loss": 0.2},
                per_fold=[{"accuracy": 0.9, "loss": 0.2}] * FACTS.folds,
            )
        case OpenTest():
            scores = [
                TestScore(name=name, accuracy=0.9, loss=0.2, samples=100, confusion_matrix=[[1]])
                for name in message.contestants
            ]
            return TestOpened(scores=tuple(scores))
    raise TypeError(f"nothing answers {message!r}")


def live(
    one: Study,
    *,
    choose: Callable[[list[Ask]], Ask] = lambda asked: asked[0],
    fails: Callable[[Ask], bool] = lambda ask: False,
    says: str = FAILS,
) -> list[Ask]:
    """Let a study come to its end, answering what `choose` picks of what is asked; all asks."""
    waiting: list[Ask] = []
    everything: list[Ask] = []
    while True:
        for ask in next_asks(one):
            one.steps[ask.step] = Step(agent=ask.to, asked_at=0.0)
            waiting.append(ask)
            everything.append(ask)
        if not waiting:
            return everything
        ask = choose(waiting)
        waiting.remove(ask)
        step = one.steps[ask.step]
        one.elapsed_s += _seconds(ask.message)
        step.ended_at = 1.0
        if fails(ask):
            step.error = says
        else:
            step.answer = answer(ask.message).model_dump(mode="json")


def _seconds(message: BaseModel) -> float:
    """What an answer takes: a trial no longer than it may."""
    if isinstance(message, RunTrial):
        cost = message.training["epochs"] * SECONDS_PER_EPOCH
        return min(cost, cost if message.timeout_s is None else message.timeout_s)
    return 0.01


def _scores(decisive: dict[str, object], fold: int) -> dict[str, float]:
    """A score by chance, for this recipe always the same."""
    text = json.dumps([decisive, fold], sort_keys=True)
    random = Random(sha256(text.encode()).hexdigest())
    accuracy = 0.7 + 0.3 * random.random()
    return {"accuracy": accuracy, "loss": 1.0 - accuracy}


def problems_of(space: Space, recipe: Mapping[str, Any]) -> list[str]:
    """What keeps `recipe` from being tried; nothing where it may be."""
    active = {knob.name: knob for knob in space.active(recipe)}
    wrong = [f"{name!r} is not varied here" for name in recipe if name not in active]
    for name, knob in active.items():
        if name not in recipe:
            wrong.append(f"{name!r} is missing")
        elif not knob.allows(recipe[name]):
            wrong.append(f"{name!r} cannot be {recipe[name]!r}")
    return wrong
