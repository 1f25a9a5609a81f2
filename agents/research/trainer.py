"""The trainer agent: quick evaluations, full trainings, held-out tests and language models."""

from agents.research import tools
from agents.research.errors import TrainingDivergedError
from agents.research.jobs import Done, Jobs
from agents.research.messages import (
    CheckpointEvaluated,
    EvaluateCheckpoint,
    EvaluateQuickly,
    LanguageModelTrained,
    QuickEvaluation,
    TrainFully,
    TrainingFinished,
    TrainLanguageModel,
)
from agents.research.researcher.handlers import ServesStudies
from guild import Context, handles
from guild.progress import Measured, Progress


class TrainerAgent(ServesStudies):
    """Trains and measures in child processes; a training cut short goes on where it was."""

    extra = "research"
    requires = ("torch", "sklearn")

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs

    @handles(emits=[Progress, Measured])
    async def evaluate_quickly(self, request: EvaluateQuickly, ctx: Context) -> QuickEvaluation:
        done = await tools.evaluate_quickly(self._jobs, request, ctx)
        _require_completed(request.model_class_name, done)
        return QuickEvaluation(
            metrics=done.result["metrics"], result=done.result, seconds=done.seconds
        )

    @handles(emits=[Progress, Measured])
    async def train(self, request: TrainFully, ctx: Context) -> TrainingFinished:
        named = request.model_copy(update=_named(request.experiment_name, ctx))
        done = await tools.train(self._jobs, named, ctx)
        _require_completed(request.model_class_name, done)
        return TrainingFinished(result=done.result, seconds=done.seconds)

    @handles(emits=[Progress, Measured])
    async def evaluate(self, request: EvaluateCheckpoint, ctx: Context) -> CheckpointEvaluated:
        done = await tools.measure(self._jobs, request, ctx)
        return CheckpointEvaluated(result=done.result, seconds=done.seconds)

    @handles(emits=[Progress, Measured])
    async def train_language_model(
        self, request: TrainLanguageModel, ctx: Context
    ) -> LanguageModelTrained:
        named = request.model_copy(update=_named(request.experiment_name, ctx))
        done = await tools.train_language_model(self._jobs, named, ctx)
        _require_completed("the language model", done)
        return LanguageModelTrained(
            model_path=done.result["model_path"], result=done.result, seconds=done.seconds
        )


def _require_completed(what: str, done: Done) -> None:
    if done.result["status"] == "diverged":
        raise TrainingDivergedError(what, done.result["diverged_at_step"])


def _named(name: str | None, ctx: Context) -> dict[str, str]:
    """Give an experiment without a name one that a second attempt at this message finds again."""
    return {"experiment_name": name or f"run-{ctx.message_id}"}
