"""A real small model proposes recipes: valid ones, drawn, at a cost that is told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.llm.engines import EngineConfig, ModelRegistry
from agents.llm.models import ModelUnavailableError, fetch_model
from agents.research.researcher.llm import propose
from agents.research.researcher.messages import ProposeRecipe
from agents.research.researcher.recipes import describe
from agents.research.researcher.space import space_for
from agents.research.workspace.files import WorkspaceFiles
from agents.research.writing.client import LanguageModel
from agents.research.writing.settings import WritingProps
from tests.research.researcher.world import FACTS, problems_of
from tests.servers import missing

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1200)]

SMOLLM2 = EngineConfig(model="smollm2", backend="llamacpp", options={"threads": 1})
SPACE = space_for(FACTS.kind, FACTS.input_shape, FACTS.samples)


class Nobody:
    def emit(self, message: object, /) -> None:
        pass


@pytest.fixture
async def smollm2(tmp_path: Path) -> AsyncIterator[LanguageModel]:
    try:
        fetch_model(SMOLLM2.model)
    except ModelUnavailableError as error:
        missing(str(error))
    async with ModelRegistry() as models:
        properties = WritingProps(llm=SMOLLM2)
        yield LanguageModel(properties, models, WorkspaceFiles(tmp_path), remedy="")


async def test_a_small_model_proposes_valid_recipes_and_not_always_the_same(
    smollm2: LanguageModel,
) -> None:
    recipes = []
    for seed in range(4):
        request = ProposeRecipe(facts=FACTS, tried=(), seed=seed)
        answer = await propose(smollm2, request, Nobody())
        assert problems_of(SPACE, answer.recipe) == []
        assert answer.tokens > 100
        assert answer.seconds > 0
        recipes.append(describe(answer.recipe))

    assert len(set(recipes)) > 1


async def test_the_same_question_is_answered_without_the_model(smollm2: LanguageModel) -> None:
    request = ProposeRecipe(facts=FACTS, tried=(), seed=1)
    first = await propose(smollm2, request, Nobody())
    again = await propose(smollm2, request, Nobody())

    assert again.recipe == first.recipe
    assert (again.tokens, again.attempts) == (0, 0)
