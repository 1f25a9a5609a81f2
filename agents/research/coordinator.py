"""The coordinator: answers one research request by messages to the other agents.

A run is a state machine. Every message that arrives changes the run's state, which is written in
the same commit as the messages that follow from it; nothing is remembered in memory. So the guild
may be killed at any moment: what was in flight is delivered again, what was answered is not asked
again, and an answer that comes twice finds its question gone.
"""

import time

from pydantic import BaseModel

from agents.llm.bus.messages import GenerationPromptRequest, GenerationPromptResponse
from agents.research.errors import NothingLeftError, RunConflictError
from agents.research.findings import content_of, has_results, report_of
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
from agents.research.plan import REPORT, SEARCH, Ask, Role, next_asks, step_count
from agents.research.researcher.messages import StudyReport, StudyRequest
from agents.research.run import Asked, Run, Step
from agents.research.study import ResearchReport, ResearchRequest
from agents.research.waiting import answer_all, fail_all
from guild import Agent, BaseAgentProps, Context, handles
from guild.progress import Progress, TextDelta
from messaging.failure import Cancelled, RequestFailed

_SENDS = (
    CollectCorpus,
    GenerationPromptRequest,
    ManageTokenizer,
    StudyRequest,
    TrainLanguageModel,
    WriteReport,
)
_ANSWERS = (ResearchReport, RequestFailed)
_ERROR_CHARS = 2000


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
            raise RunConflictError(
                f"the run {request.name!r} was asked for something else; give this one another "
                "name, or ask for exactly what it began with"
            )
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
        ),
        ctx: Context,
    ) -> None:
        await self._end_step(ctx, answer=answer)

    @handles(sends=_SENDS, answers=_ANSWERS, emits=[Progress, TextDelta])
    async def take_failure(self, failure: RequestFailed | Cancelled, ctx: Context) -> None:
        if isinstance(failure, Cancelled):
            error = f"cancelled{f': {failure.reason}' if failure.reason else ''}"
        else:
            error = f"{failure.agent}: {failure.error_type}: {failure.text}"
        await self._end_step(ctx, error=error[:_ERROR_CHARS])

    async def _end_step(
        self, ctx: Context, *, answer: BaseModel | None = None, error: str = ""
    ) -> None:
        asked = await ctx.state.load(_question(ctx.envelope.cause), Asked)
        run = await _load(asked.run, ctx) if asked is not None else None
        if asked is None or run is None:
            ctx.log.info("research.answer_ignored", cause=ctx.envelope.cause)
            return
        await ctx.state.delete(_question(ctx.envelope.cause))
        step = run.steps[asked.step]
        step.ended_at = time.time()
        step.answer = answer.model_dump(mode="json") if answer is not None else None
        step.error = error
        ctx.log.info("research.step_ended", run=asked.run, step=asked.step, error=error or None)
        await self._go_on(run, ctx)

    async def _go_on(self, run: Run, ctx: Context) -> None:
        """Ask for what is possible now; when nothing is and nothing is awaited, come to an end."""
        asks = next_asks(run)
        for ask in asks:
            await self._ask(ask, run, ctx)
        if not run.is_waiting_for_answers:
            await self._conclude(run, ctx)
        ctx.emit(_progress(run))
        for ask in asks:
            if isinstance(ask.message, GenerationPromptRequest):
                ctx.emit(TextDelta(text=ask.message.generation_prompt))  # its continuation follows
        await ctx.state.save(_key(run.request.name), run)

    async def _conclude(self, run: Run, ctx: Context) -> None:
        written = run.done(REPORT, ReportWritten)
        if REPORT not in run.steps:
            content = content_of(run, time.time())
            message = WriteReport(content=content, study=run.done(SEARCH, StudyReport))
            await self._ask(Ask(REPORT, "reporter", message), run, ctx)
        elif written is None:
            _fail(run, ctx, "ReportNotWritten", run.steps.pop(REPORT).error)
        elif not has_results(run):
            run.is_failed = True
            text = f"nothing worked, see {written.html_path}: {_errors(run)}"
            _fail(run, ctx, NothingLeftError.__name__, text)
        else:
            run.report = report_of(run, written)
            _answer_all(run, ctx, run.report)

    async def _ask(self, ask: Ask, run: Run, ctx: Context) -> None:
        message_id = ctx.send(ask.message, self._topic_of(ask.to), conversation=run.conversation)
        run.steps[ask.step] = Step(agent=ask.to, asked_at=time.time())
        await ctx.state.save(_question(message_id), Asked(run=run.request.name, step=ask.step))

    def _topic_of(self, role: Role) -> str:
        topic: str = getattr(self.properties, f"{role}_topic")
        return topic


async def _load(name: str, ctx: Context) -> Run | None:
    return await ctx.state.load(_key(name), Run)


def _key(run_name: str) -> str:
    return f"run.2.{run_name}"  # 2: of the request; a run that began under version 1 begins anew


def _question(message_id: str) -> str:
    return f"asked.{message_id}"


def _fail(run: Run, ctx: Context, error_type: str, text: str) -> None:
    fail_all(run.waiting, ctx, error_type, text)
    run.waiting = []


def _answer_all(run: Run, ctx: Context, message: BaseModel) -> None:
    answer_all(run.waiting, ctx, message)
    run.waiting = []


def _errors(run: Run) -> str:
    return "; ".join(f"{name}: {step.error}" for name, step in run.steps.items() if step.error)


def _progress(run: Run) -> Progress:
    under_way = [name for name, step in run.steps.items() if step.status == "asked"]
    return Progress(
        task=f"run {run.request.name}",
        done=run.ended_steps,
        total=max(step_count(run.request), len(run.steps)),
        text=", ".join(under_way)[:200] or "finished",
    )
