"""The tokenizer agent: gathers text, and trains, loads and applies tokenizers by name."""

from agents.research import tools
from agents.research.jobs import Jobs
from agents.research.messages import (
    CollectCorpus,
    CorpusCollected,
    ManageTokenizer,
    TokenizerApplied,
    TokenizerLoaded,
    TokenizerTrained,
)
from guild import Agent, Context, handles
from guild.progress import Progress

_COLLECT = "agents.research.text_jobs:collect_corpus"
_Answer = TokenizerTrained | TokenizerLoaded | TokenizerApplied
_ANSWERS: dict[str, type[_Answer]] = {
    "train": TokenizerTrained,
    "load": TokenizerLoaded,
    "apply": TokenizerApplied,
}


class TokenizerAgent(Agent):
    """Manages tokenizers in child processes; what was registered survives a restart."""

    extra = "research"
    requires = ("tokenizers",)

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs

    @handles(emits=[Progress])
    async def manage(
        self, request: ManageTokenizer, ctx: Context
    ) -> TokenizerTrained | TokenizerLoaded | TokenizerApplied:
        done = await tools.manage_tokenizer(self._jobs, request, ctx)
        return _ANSWERS[request.action].model_validate(done.result)

    @handles(emits=[Progress])
    async def collect(self, request: CollectCorpus, ctx: Context) -> CorpusCollected:
        self._jobs.inside(request.output_path, key="output_path")
        done = await self._jobs.run(_COLLECT, request.model_dump(), ctx, task="gather text")
        return CorpusCollected.model_validate(done.result)
