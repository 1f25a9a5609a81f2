"""What agents share whose tools may ask a language model."""

from agents.llm.engines import ModelRegistry
from agents.research.jobs import Jobs
from agents.research.writing.client import LanguageModel
from agents.research.writing.settings import WritingProps
from guild import Agent
from guild.agent.traits import Traits


class WritingAgent(Agent[WritingProps]):
    """Has the jobs, and the language model that its property `llm` names."""

    extra = "research"

    def __init__(
        self, properties: WritingProps, jobs: Jobs, models: ModelRegistry | None = None
    ) -> None:
        super().__init__(properties)
        self._jobs = jobs
        self._llm = LanguageModel(
            properties, models, jobs.files, remedy="set the agent's property 'llm'"
        )

    @classmethod
    def traits(cls, properties: WritingProps) -> Traits:
        """Its jobs run what the language model wrote, to see whether it works."""
        steered = "it runs code that its language model wrote" if properties.llm else ""
        return Traits(untrusted=steered)
