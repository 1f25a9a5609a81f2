"""The coordinator: answers one research request by messages to the other agents."""

import time

from agents.llm.bus.messages import GenerationPromptRequest, GenerationPromptResponse
from agents.research.errors import NothingLeftError, RunConflictError
from agents.research.jobs import Jobs
from agents.research.messages import (
    CollectCorpus,
    CorpusCollected,
    LanguageModelTrained,
    ManageTokenizer,
    ReportWritten,
    TokenizerApplied,
    TokenizerTrained,
    TrainLanguageModel,
    WriteReport,
)
from agents.research.researcher.messages import StudyReport, StudyRequest
from agents.research.run.findings import content_of, has_results, report_of
from agents.research.run.messages import ResearchReport, ResearchRequest
from agents.research.run.plan import REPORT, SEARCH, Run, next_asks, step_count
from agents.research.stepwise.asking import Ask, answer_all, ask, end_step, fail_all
from guild import Agent, BaseAgentProps, Context, handles
from guild.progress import Progress, TextDelta
from messaging.wire.replies import Cancelled, RequestFailed

_SENDS = (
    CollectCorpus,
    GenerationPromptRequest,
    ManageTokenizer,
    StudyRequest,
    TrainLanguageModel,
    WriteReport,
)
_ANSWERS = (ResearchReport, RequestFailed)


class CoordinatorProps(BaseAgentProps):
    """Where the agents that do the work listen."""

    trainer_topic: str = "research.trainer"
    tokenizer_topic: str = "research.tokenizer"
    reporter_topic: str = "research.reporter"
    phi_topic: str = "prompts"
    researcher_topic: str = "research.researcher"


class CoordinatorAgent(Agent[CoordinatorProps]):
    """Answers `ResearchRequest` with a `ResearchReport`, once everything asked for is found.

    A finished run answers at once. One whose report was deleted, or in which nothing worked, begins
    anew; trainings that are still there end at once with what they found before.
    """

    def __init__(self, properties: CoordinatorProps, jobs: Jobs) -> None:
        super().__init__(properties)
        self._jobs = jobs

    @handles(sends=_SENDS, answers=_ANSWERS, emits=[Progress, TextDelta])
    async def begin(self, request: ResearchRequest, ctx: Context) -> ResearchReport | None:
        run = await _load(request.name, ctx)
        if run is not None and run.request != request:
            raise RunConflictError("run", request.name)
        if run is not None and run.report is not None and self._jobs.has(run.report.html_path):
            return run.report
        if run is None or run.is_over:
            run = Run(request=request, started_at=time.time())
        run.attach(ctx.requester, ctx.conversation)
        await self._go_on(run, ctx)
        return None

    @handles(sends=_SENDS, answers=_ANSWERS, emits=[Progress, TextDelta])
    async def take(
        self,
        answer: (
            CorpusCollected
            | GenerationPromptResponse
            | LanguageModelTrained
            | ReportWritten
            | StudyReport
            | TokenizerApplied
            | TokenizerTrained
            | RequestFailed
            | Cancelled
        ),
        ctx: Context,
    ) -> None:
        ended = await end_step(answer, _load, ctx)
        if ended is not None:
            await self._go_on(ended[0], ctx)

    async def _go_on(self, run: Run, ctx: Context) -> None:
        """Ask for what is possible now; when nothing is and nothing is awaited, come to an end."""
        asks = next_asks(run)
        for each in asks:
            await self._ask(each, run, ctx)
        if not run.under_way:
            await self._conclude(run, ctx)
        ctx.emit(_progress(run))
        for each in asks:
            if isinstance(each.message, GenerationPromptRequest):
                ctx.emit(TextDelta(text=each.message.generation_prompt))  # its continuation follows
        await ctx.state.save(_key(run.request.name), run)

    async def _conclude(self, run: Run, ctx: Context) -> None:
        written = run.done(REPORT, ReportWritten)
        if REPORT not in run.steps:
            content = content_of(run, time.time())
            message = WriteReport(content=content, study=run.done(SEARCH, StudyReport))
            await self._ask(Ask(REPORT, "reporter", message), run, ctx)
        elif written is None:
            fail_all(run, "ReportNotWritten", run.steps.pop(REPORT).error, ctx)
        elif not has_results(run):
            run.is_failed = True
            text = f"nothing worked, see {written.html_path}: {'; '.join(run.errors)}"
            fail_all(run, NothingLeftError.__name__, text, ctx)
        else:
            run.report = report_of(run, written)
            answer_all(run, run.report, ctx)

    async def _ask(self, what: Ask, run: Run, ctx: Context) -> None:
        await ask(what, run, getattr(self.properties, f"{what.to}_topic"), ctx)


async def _load(name: str, ctx: Context) -> Run | None:
    return await ctx.state.load(_key(name), Run)


def _key(run_name: str) -> str:
    return f"run.2.{run_name}"  # 2: of the request; a run that began under version 1 begins anew


def _progress(run: Run) -> Progress:
    return Progress(
        task=f"run {run.request.name}",
        done=len(run.steps) - len(run.under_way),
        total=max(step_count(run.request), len(run.steps)),
        text=", ".join(run.under_way)[:200] or "finished",
    )
