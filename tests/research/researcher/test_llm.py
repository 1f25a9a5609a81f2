"""What a language model says is tried only as far as it may be."""

import json
from random import Random
from typing import Any, cast

import jsonschema
import pytest

from agents.llm.dialogue.usage import Usage
from agents.research.errors import WorkRefusedError
from agents.research.researcher.llm import propose
from agents.research.researcher.messages import ProposeRecipe, Tried
from agents.research.researcher.recipes import starting_points
from agents.research.researcher.space import space_for
from agents.research.writing.client import LanguageModel
from agents.research.writing.task import Task, Written
from tests.research.researcher.world import FACTS, problems_of

SPACE = space_for(FACTS.kind, FACTS.input_shape, FACTS.samples)


class Says:
    """A language model that says one thing after the other until one of them passes."""

    def __init__(self, *answers: str) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.refused: list[str] = []

    async def write(self, task: Task[Any], _audience: object) -> Written[Any]:
        (form,) = task.forms
        for number, answer in enumerate(self.answers, 1):
            self.asked.append(form.prompt)
            try:
                cost = Usage(prompt_tokens=30 * number, completion_tokens=20 * number)
                return Written(await form.accept(answer), form.wrote, number, cost)
            except WorkRefusedError as error:
                self.refused.append(str(error))
        raise AssertionError(self.refused)


async def proposed(llm: Says, **request: Any) -> Any:
    asked = ProposeRecipe(facts=FACTS, tried=request.get("tried", ()), seed=1)
    return await propose(cast(LanguageModel, llm), asked, cast(Any, None))


async def test_what_fits_is_taken_and_the_rest_is_drawn() -> None:
    said = {"family": "conv", "channels": 24, "kernel": 99, "depth": 3}
    answer = await proposed(Says(json.dumps(said)))
    assert (answer.recipe["family"], answer.recipe["channels"]) == ("conv", 24)
    assert problems_of(SPACE, answer.recipe) == []


@pytest.mark.parametrize("nonsense", ["", "{", "[1]", "null", "a network with attention"])
async def test_what_is_no_recipe_is_told_to_be_none_and_costs_its_tokens(nonsense: str) -> None:
    llm = Says(nonsense, json.dumps(SPACE.draw(Random(0))))
    answer = await proposed(llm)
    assert len(llm.refused) == 1
    assert (answer.attempts, answer.tokens) == (2, 100)


async def test_it_is_told_what_was_tried_and_how_good_that_was() -> None:
    llm = Says(json.dumps(SPACE.draw(Random(0))))
    recipe = SPACE.completed(starting_points("image")[0], Random(0))
    await proposed(llm, tried=(Tried(recipe=recipe, accuracy=0.975),))
    assert "97.50 %: family residual" in llm.asked[0]


def test_the_form_has_every_recipe_that_it_is_filled_in_with() -> None:
    schema = SPACE.schema()
    whole = {knob.name: knob.schema()["enum"][0] for knob in SPACE.knobs}
    jsonschema.validate(whole, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(whole | {"family": "transformer"}, schema)
