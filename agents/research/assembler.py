"""The assembler agent: model configs to code, by the compiler or by a language model."""

from agents.llm.engines import ModelRegistry
from agents.research.jobs import Jobs
from agents.research.messages import (
    AssembleModel,
    ModelAssembled,
    ModelSummarised,
    SummariseModel,
)
from agents.research.researcher.llm import propose
from agents.research.researcher.messages import ProposeRecipe, RecipeProposed
from agents.research.writing.client import LanguageModel
from agents.research.writing.models import assemble
from agents.research.writing.settings import WritingProps
from agents.research.writing.summaries import summarise
from guild import Agent, Context, handles
from guild.progress import Progress, TextDelta


class AssemblerAgent(Agent[WritingProps]):
    """Writes the code of a model and says who wrote it, or what is wrong with the config."""

    extra = "research"
    requires = ("torch",)

    def __init__(self, properties: WritingProps, jobs: Jobs, models: ModelRegistry) -> None:
        super().__init__(properties)
        self._jobs = jobs
        self._llm = LanguageModel(
            properties, models, jobs.files, remedy="set the agent's property 'llm'"
        )

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
