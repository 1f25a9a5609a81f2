"""Agents that keep the message protocol of the real ones and answer at once."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from agents.llm.bus.messages import GenerationPromptRequest, GenerationPromptResponse
from agents.research.messages import (
    AssembleModel,
    CheckpointEvaluated,
    CollectCorpus,
    CorpusCollected,
    EvaluateCheckpoint,
    EvaluateQuickly,
    LanguageModelTrained,
    ManageTokenizer,
    ModelAssembled,
    ModelSummarised,
    PrepareRun,
    QuickEvaluation,
    ReportWritten,
    RunPrepared,
    SummariseModel,
    TokenizerApplied,
    TokenizerLoaded,
    TokenizerTrained,
    TrainFully,
    TrainingFinished,
    TrainLanguageModel,
    WriteReport,
)
from agents.research.researcher.messages import StudyReport, StudyRequest
from guild import Agent, Context, handles
from guild.progress import Progress

A = TypeVar("A", bound=BaseModel)

ACCURACY = {"DigitsGated": 0.95, "DigitsConv": 0.99, "DigitsResidual": 0.97}
HISTORY = [
    {
        "epoch": epoch,
        "step": 20 * epoch,
        "train_loss": 1 / epoch,
        "val_loss": 1.1 / epoch,
        "val_accuracy": 1 - 0.5 / epoch,
    }
    for epoch in (1, 2, 3)
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


def worker_class(script: Script) -> type[Agent]:  # noqa: C901  a class with many handlers
    """One agent in the place of all five that work, following `script`."""

    class Worker(Agent):
        @handles(emits=[Progress])
        async def assemble(self, request: AssembleModel, ctx: Context) -> ModelAssembled:
            name = request.config["model_name"]
            answer = ModelAssembled(
                model_name=name,
                script_path=request.output_script_path,
                generated_by="compiler",
                attempts=1,
                checks=("parsed",),
                total_params=1000,
            )
            return await script.do(f"assemble {name}", request, answer, ctx)

        @handles(emits=[Progress])
        async def summarise(self, request: SummariseModel, ctx: Context) -> ModelSummarised:
            answer = ModelSummarised(
                summary_str="",
                total_params=1000,
                trainable_params=1000,
                flops=2000,
                macs=1000,
                layer_details=[],
            )
            return await script.do(f"summarise {request.model_class_name}", request, answer, ctx)

        @handles(emits=[Progress])
        async def evaluate(self, request: EvaluateQuickly, ctx: Context) -> QuickEvaluation:
            name = request.model_class_name
            metrics = {"accuracy": ACCURACY[name], "f1": ACCURACY[name] - 0.01}
            answer = QuickEvaluation(metrics=metrics, result={"seconds": 0.4}, seconds=0.5)
            return await script.do(f"evaluate {name}", request, answer, ctx)

        @handles(emits=[Progress])
        async def train(self, request: TrainFully, ctx: Context) -> TrainingFinished:
            result = {
                "history": HISTORY,
                "best_epoch": 3,
                "stopped_early": False,
                "best_checkpoint_path": "best.pt",
                "experiment_dir": f"{request.log_base_dir}/{request.experiment_name}",
            }
            answer = TrainingFinished(result=result, seconds=2.0)
            return await script.do(f"train {request.model_class_name}", request, answer, ctx)

        @handles(emits=[Progress])
        async def test(self, request: EvaluateCheckpoint, ctx: Context) -> CheckpointEvaluated:
            result = {
                "metrics": {"accuracy": 0.98, "f1": 0.97, "loss": 0.1},
                "samples": 2,
                "confusion_matrix": [[1, 0], [0, 1]],
                "class_names": ["0", "1"],
            }
            answer = CheckpointEvaluated(result=result, seconds=0.1)
            return await script.do("test", request, answer, ctx)

        @handles(emits=[Progress])
        async def collect(self, request: CollectCorpus, ctx: Context) -> CorpusCollected:
            answer = CorpusCollected(path=request.output_path, size_bytes=1000, files=3)
            return await script.do("corpus", request, answer, ctx)

        @handles(emits=[Progress])
        async def tokenize(
            self, request: ManageTokenizer, ctx: Context
        ) -> TokenizerTrained | TokenizerLoaded | TokenizerApplied:
            trained = TokenizerTrained(
                tokenizer_name=request.tokenizer_name, tokenizer_path="tokenizer", vocab_size=256
            )
            applied = TokenizerApplied(
                input_ids=[[1]], attention_mask=[[1]], pieces=(("def ", "f"),)
            )
            answer: TokenizerTrained | TokenizerApplied
            answer = trained if request.action == "train" else applied
            return await script.do(f"tokenizer {request.action}", request, answer, ctx)

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
            return await script.do("language model", request, answer, ctx)

        @handles(emits=[Progress])
        async def complete(
            self, request: GenerationPromptRequest, ctx: Context
        ) -> GenerationPromptResponse:
            prompt = request.generation_prompt
            answer = GenerationPromptResponse(
                generation_prompt=prompt, generated_response=f"{prompt}pass"
            )
            return await script.do("completion", request, answer, ctx)

        @handles(emits=[Progress])
        async def prepare(self, request: PrepareRun, ctx: Context) -> RunPrepared:
            answer = RunPrepared(folder=request.folder, block_paths=())
            return await script.do("prepare", request, answer, ctx)

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
            return await script.do("search", request, answer, ctx)

        @handles(emits=[Progress])
        async def write(self, request: WriteReport, ctx: Context) -> ReportWritten:
            answer = ReportWritten(markdown_path="report.md", html_path="report.html")
            (script.workspace / answer.html_path).touch()
            return await script.do("report", request, answer, ctx)

    return Worker
