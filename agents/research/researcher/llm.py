"""What to try next, by a language model: a recipe in a form that it cannot get wrong."""

import json
import time
from random import Random

from agents.research.errors import WorkRefusedError
from agents.research.jobs import Audience
from agents.research.researcher.messages import ProposeRecipe, RecipeProposed
from agents.research.researcher.recipes import describe
from agents.research.researcher.space import Recipe, space_for
from agents.research.writing.client import LanguageModel
from agents.research.writing.prompts import prompt
from agents.research.writing.task import Form, Task


async def propose(llm: LanguageModel, request: ProposeRecipe, audience: Audience) -> RecipeProposed:
    """Have a recipe proposed: drawn, since the likeliest answer is the same again and again.

    Raises:
        NoLanguageModelError, LanguageModelError, NoWorkingCodeError: as `LanguageModel.write`.
    """
    facts = request.facts
    space = space_for(facts.kind, facts.input_shape, facts.samples)

    async def accept(answer: str) -> Recipe:
        try:
            said = json.loads(answer)
        except ValueError as error:
            raise WorkRefusedError("InvalidJson", f"the recipe is no JSON: {error}") from error
        if not isinstance(said, dict):
            raise WorkRefusedError("InvalidJson", "the recipe is no JSON object")
        return space.completed(said, Random(request.seed))  # noqa: S311  no secret

    tried = "\n".join(
        f"- {100 * each.accuracy:.2f} %: {describe(each.recipe)}" for each in request.tried
    )
    data = f"{facts.samples} samples, {facts.classes} classes, {facts.kind}"
    asked = prompt("recipe", data=data, tried=tried or "nothing yet")
    form = Form("recipe", asked, accept, space.schema())
    started_s = time.monotonic()
    written = await llm.write(Task("a recipe", (form,), drawn_by=request.seed), audience)
    return RecipeProposed(
        recipe=written.value,
        tokens=written.usage.total_tokens,
        attempts=written.attempts,
        seconds=round(time.monotonic() - started_s, 3),
    )
