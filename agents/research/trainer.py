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
from agents.research.researcher import trials
from agents.research.researcher.messages import (
    BaselineFitted,
    BlendModels,
    DataDealt,
    DealData,
    FitBaseline,
    ModelsBlended,
    OpenTest,
    RunTrial,
    TestOpened,
    TrialRun,
)
from guild import Agent, Context, handles
from guild.progress import Measured, Progress


class TrainerAgent(Agent):
    """Trains and measures in child processes; a training cut short goes on where it was.

    Several trainers share the trials of a study.
    """

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

    @handles(emits=[Progress])
    async def deal_data(self, request: DealData, ctx: Context) -> DataDealt:
        return await trials.deal_data(self._jobs, request, ctx)

    @handles(emits=[Progress, Measured])
    async def run_trial(self, request: RunTrial, ctx: Context) -> TrialRun:
        return await trials.run_trial(self._jobs, request, ctx)

    @handles(emits=[Progress])
    async def fit_baseline(self, request: FitBaseline, ctx: Context) -> BaselineFitted:
        return await trials.fit_baseline(self._jobs, request, ctx)

    @handles(emits=[Progress])
    async def blend_models(self, request: BlendModels, ctx: Context) -> ModelsBlended:
        return await trials.blend_models(self._jobs, request, ctx)

    @handles(emits=[Progress])
    async def open_test(self, request: OpenTest, ctx: Context) -> TestOpened:
        return await trials.open_test(self._jobs, request, ctx)


def _require_completed(what: str, done: Done) -> None:
    if done.result["status"] == "diverged":
        raise TrainingDivergedError(what, done.result["diverged_at_step"])


def _named(name: str | None, ctx: Context) -> dict[str, str]:
    """Give an experiment without a name one that a second attempt at this message finds again."""
    return {"experiment_name": name or f"run-{ctx.message_id}"}
