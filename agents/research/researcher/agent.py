"""The researcher: answers one request for a study by messages to those who do the work."""

import time
from asyncio import to_thread
from importlib.util import find_spec

from agents.research.errors import (
    NothingLeftError,
    RunConflictError,
    StudyForgottenError,
    WorkInterruptedError,
    WorkRefusedError,
)
from agents.research.experiments.errors import UnknownStudyError, UnknownTrialError
from agents.research.jobs import Jobs
from agents.research.messages import (
    AssembleModel,
    ManageTokenizer,
    ModelAssembled,
    TokenizerTrained,
)
from agents.research.researcher import records
from agents.research.researcher.approval import StudyApprovals, under_way, why_refused
from agents.research.researcher.conclusion import chosen, report_of
from agents.research.researcher.loop import next_asks
from agents.research.researcher.messages import (
    BaselineFitted,
    BlendModels,
    DataDealt,
    DealData,
    FitBaseline,
    ModelsBlended,
    OpenTest,
    ProposeRecipe,
    RecipeProposed,
    RunTrial,
    StudyReport,
    StudyRequest,
    TestOpened,
    TrialRun,
)
from agents.research.researcher.reporting import write_study_report
from agents.research.researcher.state import Study
from agents.research.researcher.steps import DATA
from agents.research.researcher.work_clock import WorkClock
from agents.research.stepwise.asking import Ask, answer_all, ask, end_step, fail_all
from guild import Agent, BaseAgentProps, Context, handles
from guild.approvals import ApprovalDecision
from guild.asking import NOT_APPROVED
from guild.progress import Progress
from messaging.wire.replies import Cancelled, RequestFailed

_SENDS = (
    AssembleModel,
    BlendModels,
    DealData,
    FitBaseline,
    ManageTokenizer,
    OpenTest,
    ProposeRecipe,
    RunTrial,
)
_ANSWERS = (StudyReport, RequestFailed)
_SPENT = 0.5  # of the budget: what failed before did not fail for want of time
_MANY_CLASSES = 100


class ResearcherProps(BaseAgentProps):
    """Where the agents that do the work listen, and what a person decides about.

    Attributes:
        approvals: what a person is asked before it costs anything; None to ask no one.
    """

    assembler_topic: str = "research.assembler"
    trainer_topic: str = "research.trainer"
    tokenizer_topic: str = "research.tokenizer"
    approvals: StudyApprovals | None = None


class ResearcherAgent(Agent[ResearcherProps]):
    """Answers `StudyRequest` with a `StudyReport`, once the budget is spent.

    A study that has ended answers at once; one whose report was deleted begins anew.
    """

    def __init__(self, properties: ResearcherProps, jobs: Jobs) -> None:
        super().__init__(properties)
        self._jobs = jobs
        self._clock = WorkClock(jobs.workspace)

    async def run(self) -> None:
        await self._clock.run()

    @handles(sends=_SENDS, answers=_ANSWERS, emits=[Progress])
    async def begin(self, request: StudyRequest, ctx: Context) -> StudyReport | None:
        self._jobs.inside(request.folder, key="runs_dir")
        study = await self._load(request.name, ctx)
        if study is not None and study.request != request:
            raise RunConflictError("study", request.name)
        if study is not None and study.report and self._jobs.has(study.report.html_path):
            ctx.emit(_ended_before(study.report))
            return study.report
        if "tpe" in request.proposers and find_spec("optuna") is None:
            raise WorkRefusedError(
                "MissingExtraError", "the proposer 'tpe' needs Optuna: pip install optuna"
            )
        now = time.time()
        if study is None or study.is_over:
            study = Study(request=request, started_at=now, clock_at=now)
            await to_thread(records.record_begin, self._jobs.workspace, study)
        study.attach(ctx.requester, ctx.conversation)
        await self._go_on(study, ctx)
        return None

    @handles(sends=_SENDS, answers=_ANSWERS, emits=[Progress])
    async def take(
        self,
        answer: (
            ApprovalDecision
            | BaselineFitted
            | DataDealt
            | ModelAssembled
            | ModelsBlended
            | RecipeProposed
            | TestOpened
            | TokenizerTrained
            | TrialRun
            | RequestFailed
            | Cancelled
        ),
        ctx: Context,
    ) -> None:
        ended = await end_step(answer, self._load, ctx)
        if ended is None:
            return
        study, step = ended
        try:
            await to_thread(records.record_ended, self._jobs.workspace, study, step)
            await self._go_on(study, ctx)
        except (UnknownStudyError, UnknownTrialError) as error:
            if await self._is_known(study.request.name):
                raise
            raise WorkInterruptedError("the study was forgotten at this moment") from error

    async def _load(self, name: str, ctx: Context) -> Study | None:
        """The study; of one that was forgotten nothing stays, and those that wait are told."""
        study = await ctx.state.load(_key(name), Study)
        if study is None or await self._is_known(name):
            return study
        fail_all(study, StudyForgottenError.__name__, str(StudyForgottenError(name)), ctx)
        self._clock.stop(study)
        await ctx.state.delete(_key(name))
        return None

    async def _is_known(self, name: str) -> bool:
        return await to_thread(records.is_known, self._jobs.workspace, name)

    async def _go_on(self, study: Study, ctx: Context) -> None:
        """Ask for what is possible now; when nothing is and nothing is awaited, come to an end."""
        if study.trials:
            study.elapsed_s = await to_thread(self._clock.elapsed_s, study)
        study.clock_at = time.time()
        for each in next_asks(study, self.properties.approvals):
            await self._ask(each, study, ctx)
        if not study.under_way:
            await self._conclude(study, ctx)
        if study.is_over:
            self._clock.stop(study)
        elif study.trials:
            await to_thread(self._clock.start, study)
        ctx.emit(_progress(study))
        await ctx.state.save(_key(study.request.name), study)

    async def _ask(self, what: Ask, study: Study, ctx: Context) -> None:
        for trial in study.trials:
            if trial.step == what.step:
                trial.record = await to_thread(
                    records.record_asked, self._jobs.workspace, study, trial
                )
                if isinstance(what.message, RunTrial):
                    named = what.message.model_copy(update={"record": trial.record})
                    what = what._replace(message=named)
        # A study takes as many steps as its budget lasts, each following from the one before:
        # more than the bus lets pass, so each begins anew, in the conversation that is watched.
        await ask(what, study, self._topic(what.to), ctx, detached=True)

    def _topic(self, recipient: str) -> str:
        approvals = self.properties.approvals
        if recipient == "approvals" and approvals is not None:
            return approvals.topic
        topic: str = getattr(self.properties, f"{recipient}_topic")
        return topic

    async def _conclude(self, study: Study, ctx: Context) -> None:
        if refusal := why_refused(study):
            study.is_failed = True
            fail_all(study, NOT_APPROVED, f"the study was not begun: {refusal}", ctx)
            return
        facts = study.facts
        best = chosen(study, facts) if facts is not None else None
        if facts is None or best is None:
            study.is_failed = True
            fail_all(study, NothingLeftError.__name__, _why_nothing(study), ctx)
            return
        record = records.record_of(study, best.name)
        report = report_of(study, facts, record)
        workspace = self._jobs.workspace
        written = await to_thread(write_study_report, workspace, report)
        study.report = report.model_copy(
            update={
                "markdown_path": str(written.markdown.relative_to(workspace)),
                "html_path": str(written.html.relative_to(workspace)),
            }
        )
        answer_all(study, study.report, ctx)


def _key(study: str) -> str:
    return f"study.{study}"


def _why_nothing(study: Study) -> str:
    if study.failed(DATA):
        return f"{study.request.dataset} cannot be used: {study.error(DATA)}"
    told = "; ".join(study.errors) or "the budget was spent before anything was measured"
    return f"nothing worked, within {study.elapsed_s:.0f} s of work: {told}.{_advice(study)}"


def _advice(study: Study) -> str:
    """What may help where time was what it lacked; "" elsewhere."""
    facts, seconds = study.facts, study.request.budget.seconds
    if facts is None or seconds is None:
        return ""
    if study.errors and study.elapsed_s < _SPENT * seconds:
        return ""
    data = f"{facts.samples:,} samples of {facts.classes:,} classes"
    fewer = ", join rare classes into fewer" if facts.classes > _MANY_CLASSES else ""
    return f" {seconds:g} s are little for {data}: give a larger budget{fewer}, or take a sample"


def _ended_before(report: StudyReport) -> Progress:
    return Progress(
        task=f"study {report.name}",
        done=1.0,
        total=1.0,
        text="had ended before, and is not repeated; another name begins another study",
    )


def _progress(study: Study) -> Progress:
    used = study.request.budget.used(study.elapsed_s, len(study.trials))
    told = ", ".join(under_way(study)) or ("nothing worked" if study.is_failed else "finished")
    return Progress(
        task=f"study {study.request.name}",
        done=1.0 if study.is_over else min(0.99, used),
        total=1.0,
        text=f"{told}{_best_of(study)}"[:200],
    )


def _best_of(study: Study) -> str:
    """What would be chosen now, and by how many folds."""
    facts = study.facts
    best = chosen(study, facts) if facts is not None else None
    if best is None:
        return ""
    folds = "one fold" if best.accuracy.n == 1 else f"{best.accuracy.n} folds"
    return f"; best {best.name} {100 * best.accuracy.mean:.2f} % on {folds}"
