"""Agents that keep the message protocol of the real ones and answer at once."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from agents.llm.bus.messages import GenerationPromptRequest, GenerationPromptResponse
from agents.research.messages import (
    CollectCorpus,
    CorpusCollected,
    LanguageModelTrained,
    ManageTokenizer,
    ReportWritten,
    TokenizerApplied,
    TokenizerLoaded,
    TokenizerTrained,
    TrainLanguageModel,
    WriteReport,
)
from agents.research.researcher.messages import StudyReport, StudyRequest
from guild import Agent, Context, handles
from guild.progress import Progress

A = TypeVar("A", bound=BaseModel)

HISTORY = [
    {"epoch": n, "step": 20 * n, "train_loss": 1 / n, "val_loss": 1.1 / n} for n in (1, 2, 3)
]


class RefusedError(Exception):
    retryable = False


class Script:
    """What the workers shall do, and what they were asked.

    Args:
        workspace: where the report is written.

    Attributes:
        failing: labels whose handling fails.
        held: labels whose handling waits for `release`.
        answer_twice: labels that are answered a second time.
    """

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.failing: set[str] = set()
        self.held: set[str] = set()
        self.answer_twice: set[str] = set()
        self.release = asyncio.Event()
        self.asked: Counter[str] = Counter()
        self.messages: dict[str, BaseModel] = {}
        self.conversations: dict[str, str] = {}
        self.message_ids: list[str] = []
        self._changed = asyncio.Condition()

    async def do(self, label: str, request: BaseModel, answer: A, ctx: Context) -> A:
        self.messages[label] = request
        self.conversations[label] = ctx.conversation
        self.message_ids.append(ctx.message_id)
        async with self._changed:
            self.asked[label] += 1
            self._changed.notify_all()
        ctx.emit(Progress(task=label))
        if label in self.held:
            await self.release.wait()
        if label in self.failing:
            raise RefusedError(f"layers[1]: {label} does not work")
        if label in self.answer_twice:
            assert ctx.requester is not None
            ctx.answer(ctx.requester, answer)
        return answer

    async def wait_for(self, label: str) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: self.asked[label] > 0)


class Worker(Agent):
    """One agent in the place of all that work, following the `script` of its guild."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script

    @handles(emits=[Progress])
    async def collect(self, request: CollectCorpus, ctx: Context) -> CorpusCollected:
        answer = CorpusCollected(path=request.output_path, size_bytes=1000, files=3)
        return await self._script.do("corpus", request, answer, ctx)

    @handles(emits=[Progress])
    async def tokenize(
        self, request: ManageTokenizer, ctx: Context
    ) -> TokenizerTrained | TokenizerLoaded | TokenizerApplied:
        trained = TokenizerTrained(
            tokenizer_name=request.tokenizer_name, tokenizer_path="tokenizer", vocab_size=256
        )
        applied = TokenizerApplied(input_ids=[[1]], attention_mask=[[1]], pieces=(("def ", "f"),))
        answer: TokenizerTrained | TokenizerApplied
        answer = trained if request.action == "train" else applied
        return await self._script.do(f"tokenizer {request.action}", request, answer, ctx)

    @handles(emits=[Progress])
    async def train_language_model(
        self, request: TrainLanguageModel, ctx: Context
    ) -> LanguageModelTrained:
        result = {
            "history": HISTORY,
            "params": 660_000,
            "steps_run": 60,
            "seconds": 8.0,
            "final_evaluation": {"loss": 3.2, "bits_per_byte": 1.5},
        }
        answer = LanguageModelTrained(model_path=request.output_dir, result=result, seconds=9.0)
        return await self._script.do("language model", request, answer, ctx)

    @handles(emits=[Progress])
    async def complete(
        self, request: GenerationPromptRequest, ctx: Context
    ) -> GenerationPromptResponse:
        prompt = request.generation_prompt
        answer = GenerationPromptResponse(
            generation_prompt=prompt, generated_response=f"{prompt}pass"
        )
        return await self._script.do("completion", request, answer, ctx)

    @handles(emits=[Progress])
    async def search(self, request: StudyRequest, ctx: Context) -> StudyReport:
        answer = StudyReport(
            name=request.name,
            folder=request.folder,
            chosen="c1",
            record="",
            members={"c1": 1.0},
            findings=(),
            tests=(),
            verdict="c1 is the best that was found.",
            trials=3,
            seconds=1.0,
            tokens=0,
        )
        return await self._script.do("search", request, answer, ctx)

    @handles(emits=[Progress])
    async def write(self, request: WriteReport, ctx: Context) -> ReportWritten:
        answer = ReportWritten(markdown_path="report.md", html_path="report.html")
        (self._script.workspace / answer.html_path).touch()
        return await self._script.do("report", request, answer, ctx)
