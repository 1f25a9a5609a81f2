"""The optimizer agent: configurations and custom classes, registered under names."""

from agents.research.optimizers.messages import (
    ConfigureOptimizer,
    OptimizerConfigured,
    OptimizerRegistered,
)
from agents.research.optimizers.tools import configure
from agents.research.writing.agent import WritingAgent
from guild import Context, handles
from guild.progress import Progress, TextDelta


class OptimizerAgent(WritingAgent):
    """Registers optimizers for the trainers; what was registered survives a restart."""

    requires = ("torch",)

    @handles(emits=[Progress, TextDelta])
    async def configure(
        self, request: ConfigureOptimizer, ctx: Context
    ) -> OptimizerConfigured | OptimizerRegistered:
        return await configure(self._jobs, self._llm, request, ctx)
