"""What a trainer does for studies."""

from agents.research.jobs import Jobs
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


class ServesStudies(Agent):
    """Handlers of a trainer by which a study is served; several trainers share its trials."""

    _jobs: Jobs

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
