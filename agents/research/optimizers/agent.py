"""The optimizer agent: configurations and custom classes, registered under names."""

from agents.llm.engines import ModelRegistry
from agents.research.jobs import Jobs
from agents.research.optimizers.messages import (
    ConfigureOptimizer,
    OptimizerConfigured,
    OptimizerRegistered,
)
from agents.research.optimizers.tools import configure
from agents.research.writing.client import LanguageModel
from agents.research.writing.settings import WritingProps
from guild import Agent, Context, handles
from guild.progress import Progress, TextDelta


class OptimizerAgent(Agent[WritingProps]):
    """Registers optimizers for the trainers; what was registered survives a restart."""

    extra = "research"
    requires = ("torch",)

    def __init__(
        self, properties: WritingProps, jobs: Jobs, models: ModelRegistry | None = None
    ) -> None:
        super().__init__(properties)
        self._jobs = jobs
        self._llm = LanguageModel(
            properties, models, jobs.files, remedy="set the agent's property 'llm'"
        )

    @handles(emits=[Progress, TextDelta])
    async def configure(
        self, request: ConfigureOptimizer, ctx: Context
    ) -> OptimizerConfigured | OptimizerRegistered:
        return await configure(self._jobs, self._llm, request, ctx)
