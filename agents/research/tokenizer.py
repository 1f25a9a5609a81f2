"""The tokenizer agent: gathers text, and trains, loads and applies tokenizers by name."""

from agents.research.messages import (
    AdviseTokenizer,
    CollectCorpus,
    CorpusCollected,
    ManageTokenizer,
    TokenizerAdvised,
    TokenizerApplied,
    TokenizerLoaded,
    TokenizerTrained,
)
from agents.research.writing.agent import WritingAgent
from agents.research.writing.tokenizers import advise, manage_tokenizer
from guild import Context, handles
from guild.progress import Progress, TextDelta

_COLLECT = "agents.research.text_jobs:collect_corpus"
_Answer = TokenizerTrained | TokenizerLoaded | TokenizerApplied
_ANSWERS: dict[str, type[_Answer]] = {
    "train": TokenizerTrained,
    "load": TokenizerLoaded,
    "apply": TokenizerApplied,
}


class TokenizerAgent(WritingAgent):
    """Manages tokenizers in child processes; what was registered survives a restart.

    Where it has a language model, that advises on types and sizes.
    """

    requires = ("tokenizers",)

    @handles(emits=[Progress, TextDelta])
    async def manage(
        self, request: ManageTokenizer, ctx: Context
    ) -> TokenizerTrained | TokenizerLoaded | TokenizerApplied:
        done = await manage_tokenizer(self._jobs, self._llm, request, ctx)
        return _ANSWERS[request.action].model_validate(done.result)

    @handles(emits=[Progress, TextDelta])
    async def advise(self, request: AdviseTokenizer, ctx: Context) -> TokenizerAdvised:
        return await advise(self._jobs, self._llm, request, ctx)

    @handles(emits=[Progress])
    async def collect(self, request: CollectCorpus, ctx: Context) -> CorpusCollected:
        self._jobs.inside(request.output_path, key="output_path")
        done = await self._jobs.run(_COLLECT, request.model_dump(), ctx, task="gather text")
        return CorpusCollected.model_validate(done.result)
