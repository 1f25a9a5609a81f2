"""The assembler agent: model configs to code, by the compiler or by a language model."""

from agents.research.messages import (
    AssembleModel,
    ModelAssembled,
    ModelSummarised,
    SummariseModel,
)
from agents.research.researcher.llm import propose
from agents.research.researcher.messages import ProposeRecipe, RecipeProposed
from agents.research.writing.agent import WritingAgent
from agents.research.writing.models import assemble
from agents.research.writing.summaries import summarise
from guild import Context, handles
from guild.progress import Progress, TextDelta


class AssemblerAgent(WritingAgent):
    """Writes the code of a model and says who wrote it, or what is wrong with the config."""

    requires = ("torch",)

    @handles(emits=[Progress, TextDelta])
    async def assemble(self, request: AssembleModel, ctx: Context) -> ModelAssembled:
        return await assemble(self._jobs, self._llm, request, ctx)

    @handles(emits=[Progress, TextDelta])
    async def propose(self, request: ProposeRecipe, ctx: Context) -> RecipeProposed:
        return await propose(self._llm, request, ctx)

    @handles(emits=[Progress, TextDelta])
    async def summarise(self, request: SummariseModel, ctx: Context) -> ModelSummarised:
        summary = await summarise(self._jobs, self._llm, request, ctx)
        return ModelSummarised.model_validate(
            {name: summary[name] for name in ModelSummarised.model_fields if name in summary}
        )
