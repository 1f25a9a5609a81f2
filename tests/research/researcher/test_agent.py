"""The researcher on the bus, with a trainer that answers at once by the world's rules."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agents.research.experiments import ExperimentStore, store_path
from agents.research.jobs import open_jobs
from agents.research.messages import (
    AssembleModel,
    ManageTokenizer,
    ModelAssembled,
    TokenizerTrained,
)
from agents.research.report.wording import duration
from agents.research.researcher.agent import ResearcherAgent, _why_nothing
from agents.research.researcher.budget import Budget
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
from agents.research.researcher.state import Study
from agents.research.researcher.work_clock import WorkClock
from agents.research.stepwise.work import Step
from guild import Agent, AgentBuilder, Context, Guild, GuildBuilder, GuildSpec, handles
from guild.checking.plan import Plan
from guild.progress import Progress
from guild.testing import dead_letters, settled
from messaging.backends.memory import MemoryBackend
from messaging.bus import Bus
from messaging.errors import RequestFailedError
from messaging.state.stored_state import StoredState
from messaging.wire.envelope import new_id
from tests.research.researcher.world import FACTS, answer
from tests.research.researcher.world import study as world_study

_Answer = (
    DataDealt
    | ModelAssembled
    | TokenizerTrained
    | TrialRun
    | BaselineFitted
    | ModelsBlended
    | RecipeProposed
    | TestOpened
)


class Diary:
    """What the trainer was asked, and what it is to wait for or to fail at."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.asked: Counter[str] = Counter()
        self.records: set[str] = set()
        self.failing: set[str] = set()
        self.held: set[str] = set()
        self.release = asyncio.Event()
        self.reached = asyncio.Event()


def label(message: BaseModel) -> str:
    match message:
        case AssembleModel():
            return message.output_script_path
        case RunTrial() | FitBaseline():
            return message.trial
        case _:
            return type(message).__name__


def trainer_of(diary: Diary) -> type[Agent]:
    class Trainer(Agent):
        @handles
        async def work(
            self,
            request: (
                DealData
                | AssembleModel
                | ManageTokenizer
                | RunTrial
                | FitBaseline
                | BlendModels
                | OpenTest
                | ProposeRecipe
            ),
            ctx: Context,
        ) -> _Answer:
            name = label(request)
            if isinstance(request, RunTrial):
                diary.records.add(request.record)
            diary.asked[name] += 1
            time = f"{name} for the {diary.asked[name]}. time"
            if name in diary.held:
                diary.reached.set()
                await diary.release.wait()
            if {name, time} & diary.failing:
                raise RefusedError(f"{name} does not work")
            if isinstance(request, AssembleModel):
                script = diary.workspace / request.output_script_path
                script.parent.mkdir(parents=True, exist_ok=True)
                script.write_text(f"# {request.config['description']}\n", "utf-8")
            found = answer(request)
            assert isinstance(found, _Answer)
            return found

    return Trainer


class RefusedError(Exception):
    retryable = False


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path)


def spec_of(diary: Diary) -> GuildSpec:
    researcher = (
        AgentBuilder(ResearcherAgent)
        .set_id("researcher")
        .listen_to_default_topic(False)
        .add_additional_topic("research")
        .set_concurrency(1)
        .set_retry(attempts=3, backoff_s=0)
        .build_spec()
    )
    trainer = AgentBuilder(trainer_of(diary)).set_id("trainer").listen_to_default_topic(False)
    for topic in ("research.assembler", "research.trainer", "research.tokenizer"):
        trainer.add_additional_topic(topic)
    return (
        GuildBuilder("tests")
        .add_resource("jobs", open_jobs, {"workspace": str(diary.workspace)})
        .add_agent_spec(researcher)
        .add_agent_spec(trainer.set_concurrency(8).set_retry(attempts=3, backoff_s=0).build_spec())
        .build_spec()
    )


def bus_for(spec: GuildSpec) -> Bus:
    backend = MemoryBackend(f"tests-{new_id()}", strict=True)
    return Bus(backend, name="tests", registry=Plan.of(spec).messages)


@asynccontextmanager
async def launched(diary: Diary) -> AsyncIterator[Guild]:
    spec = spec_of(diary)
    async with bus_for(spec) as bus, Guild.launch(spec, bus=bus) as guild:
        yield guild


def wanted(trials: int = 20, **request: Any) -> StudyRequest:
    budget = Budget(seconds=None, trials=trials)
    return StudyRequest.model_validate({"budget": budget, "folds": 3, **request})


async def ask(guild: Guild, request: StudyRequest) -> StudyReport:
    return await guild.client.request("research", request, StudyReport, timeout_s=60)


def kept(diary: Diary) -> list[tuple[str, str, int, str, str | None, str]]:
    with ExperimentStore(store_path(diary.workspace)) as store:
        return [(t.id, t.kind, t.seed, t.status, t.parent, t.note) for t in store.trials("first")]


async def test_a_study_asks_for_everything_once_and_reports(diary: Diary) -> None:
    async with launched(diary) as guild:
        report = await ask(guild, wanted())

    assert set(diary.asked.values()) == {1}
    assert report.trials == 20
    assert report.failures == ()
    assert report.chosen in {finding.name for finding in report.findings}
    assert {score.name for score in report.tests} >= {report.chosen}
    assert (diary.workspace / report.html_path).is_file()
    assert report.chosen in (diary.workspace / report.markdown_path).read_text("utf-8")


async def test_every_trial_is_in_the_store_with_its_reason_and_what_it_came_from(
    diary: Diary,
) -> None:
    async with launched(diary) as guild:
        await ask(guild, wanted(40))

    with ExperimentStore(store_path(diary.workspace)) as store:
        trials = store.trials("first")
        assert {trial.status for trial in trials} == {"done"}
        networks = [trial for trial in trials if trial.kind in ("quick", "full")]
        baselines = {trial.config["name"] for trial in trials if trial.kind == "baseline"}
        assert len(networks) + len(baselines) == 40
        assert diary.records == {trial.id for trial in networks}
        assert all(trial.note and trial.code for trial in networks)
        changed = [t for t in networks if t.proposer == "search" and t.kind == "quick" and t.parent]
        assert changed
        assert {trial.kind for trial in trials} >= {"baseline", "ensemble", "test"}
        assert store.study("first").ended_at is not None


async def test_a_study_that_ends_in_the_middle_goes_on_and_repeats_only_what_was_under_way(
    diary: Diary,
) -> None:
    diary.held = {"0009"}
    spec = spec_of(diary).model_copy(update={"drain_s": 0.0})
    async with bus_for(spec) as bus:
        async with Guild.launch(spec, bus=bus) as guild:
            await guild.client.publish("research", wanted())
            await diary.reached.wait()
        diary.release.set()
        async with Guild.launch(spec, bus=bus) as guild:
            report = await ask(guild, wanted())

    assert {name for name, count in diary.asked.items() if count > 1} <= {"0009", "0010"}
    assert report.trials == 20
    statuses = {trial[3] for trial in kept(diary)}
    assert statuses == {"done"}


async def test_a_study_that_goes_on_counts_what_its_killed_process_had_worked(diary: Diary) -> None:
    diary.held = {"0009"}
    spec = spec_of(diary).model_copy(update={"drain_s": 0.0})
    async with bus_for(spec) as bus:
        async with Guild.launch(spec, bus=bus) as guild:
            await guild.client.publish("research", wanted())
            await diary.reached.wait()
        study = Study(request=wanted(), started_at=begun(diary), clock_at=0.0, elapsed_s=3600.0)
        clock = WorkClock(diary.workspace)
        clock.start(study)
        clock.beat()
        diary.release.set()
        async with Guild.launch(spec, bus=bus) as guild:
            report = await ask(guild, wanted())

    assert 3600 < report.seconds < 3700
    told = (diary.workspace / report.markdown_path).read_text("utf-8")
    assert f"| time at work | {duration(report.seconds)} |" in told


def begun(diary: Diary) -> float:
    with ExperimentStore(store_path(diary.workspace)) as store:
        return store.study("first").created_at


async def test_a_finished_study_answers_at_once_with_the_same_report(diary: Diary) -> None:
    async with launched(diary) as guild:
        first = await ask(guild, wanted())
        again = await ask(guild, wanted())

    assert again == first
    assert set(diary.asked.values()) == {1}


async def test_a_study_whose_report_was_deleted_begins_anew_and_finds_the_same(
    diary: Diary,
) -> None:
    async with launched(diary) as guild:
        first = await ask(guild, wanted())
        (diary.workspace / first.html_path).unlink()
        before = kept(diary)
        again = await ask(guild, wanted())

    assert again.findings == first.findings
    assert kept(diary) == before


async def test_another_study_under_the_same_name_is_refused(diary: Diary) -> None:
    async with launched(diary) as guild:
        await ask(guild, wanted())
        with pytest.raises(RequestFailedError, match="another name") as caught:
            await ask(guild, wanted(seed=7))

    assert caught.value.error_type == "RunConflictError"


async def test_a_study_that_had_ended_before_says_so(diary: Diary) -> None:
    async with launched(diary) as guild:
        await ask(guild, wanted())
        stream = guild.client.stream("research", wanted(), whole_conversation=True, timeout_s=60)
        told = [item.text async for item in stream if isinstance(item, Progress)]

    assert "had ended before" in told[-1]


async def test_a_forgotten_study_leaves_its_name_to_another(diary: Diary, tmp_path: Path) -> None:
    async with launched(diary) as guild:
        await ask(guild, wanted())
        forget(diary)
        report = await ask(guild, wanted(seed=7))

    other = Diary(folder(tmp_path))
    async with launched(other) as guild:
        assert report.findings == (await ask(guild, wanted(seed=7))).findings
    assert scores(diary) == scores(other)


async def test_answers_to_a_forgotten_study_are_none_of_the_next_ones(diary: Diary) -> None:
    diary.held, diary.failing = {"0009"}, {"0009 for the 1. time"}
    async with launched(diary) as guild:
        await guild.client.publish("research", wanted())
        await diary.reached.wait()
        diary.reached.clear()
        forget(diary)
        waiting = asyncio.create_task(ask(guild, wanted(seed=7)))
        await diary.reached.wait()  # the next one's trial of that number is under way, too
        diary.release.set()
        report = await waiting

    assert report.trials == 20
    assert report.failures == ()


@pytest.mark.parametrize("fails", [False, True])
async def test_late_answers_to_a_forgotten_study_settle_and_leave_nothing(
    diary: Diary, fails: bool
) -> None:
    diary.held, diary.failing = {"0009", "0010"}, {"0009"} if fails else set()
    async with launched(diary) as guild:
        waiting = asyncio.create_task(ask(guild, wanted()))
        await diary.reached.wait()
        forget(diary)
        diary.release.set()
        with pytest.raises(RequestFailedError, match="was forgotten while") as caught:
            await waiting
        await settled(guild)

        assert caught.value.error_type == "StudyForgottenError"
        assert await dead_letters(guild, "researcher") == []
        assert await keys_of_state(guild) == []
    with ExperimentStore(store_path(diary.workspace)) as store:
        assert store.studies() == []


async def test_a_study_that_ended_leaves_no_question(diary: Diary) -> None:
    async with launched(diary) as guild:
        await ask(guild, wanted())
        await settled(guild)
        assert await keys_of_state(guild) == ["study.first"]


async def keys_of_state(guild: Guild) -> list[str]:
    keys = StoredState(guild.client.bus.backend, "researcher").keys()
    return [found.key async for found in keys]


def forget(diary: Diary) -> None:
    with ExperimentStore(store_path(diary.workspace)) as store:
        store.forget("first")


def folder(tmp_path: Path) -> Path:
    other = tmp_path / "other"
    other.mkdir()
    return other


def scores(diary: Diary) -> list[tuple[str, dict[str, float]]]:
    with ExperimentStore(store_path(diary.workspace)) as store:
        return [(trial.id, trial.metrics) for trial in store.trials("first")]


async def test_failures_are_told_and_sink_nothing(diary: Diary) -> None:
    diary.failing = {"0001", "0004", "runs/first/models/c2.py"}
    async with launched(diary) as guild:
        report = await ask(guild, wanted())

    assert report.trials == 20
    assert any("0001 does not work" in failure for failure in report.failures)
    assert any("c2.py does not work" in failure for failure in report.failures)


async def test_a_study_in_which_nothing_works_is_a_typed_error(diary: Diary) -> None:
    diary.failing = {"DealData"}
    async with launched(diary) as guild:
        with pytest.raises(RequestFailedError, match="DealData does not work") as caught:
            await ask(guild, wanted())
        diary.failing = set()
        report = await ask(guild, wanted())

    assert caught.value.error_type == "NothingLeftError"
    assert "digits cannot be used: RefusedError: DealData does not work" in str(caught.value)
    assert report.trials == 20


EVERY_TRIAL = {f"{number:04d}" for number in range(100)}


async def test_a_study_that_time_was_too_short_for_says_what_helps(diary: Diary) -> None:
    diary.failing = EVERY_TRIAL
    async with launched(diary) as guild:
        with pytest.raises(RequestFailedError) as caught:
            await ask(guild, wanted(budget=Budget(seconds=0.001)))

    assert caught.value.error_type == "NothingLeftError"
    assert "does not work" in str(caught.value)
    assert "0.001 s are little for 900 samples of 3 classes: give a larger budget, or" in str(
        caught.value
    )


async def test_a_study_that_failed_with_time_to_spare_advises_no_more_of_it(diary: Diary) -> None:
    diary.failing = EVERY_TRIAL
    async with launched(diary) as guild:
        with pytest.raises(RequestFailedError) as caught:
            await ask(guild, wanted(budget=Budget(seconds=3600.0, trials=4)))

    assert "larger budget" not in str(caught.value)


@pytest.mark.parametrize(("classes", "told"), [(5000, True), (3, False)])
def test_fewer_classes_are_advised_where_there_are_many(classes: int, told: bool) -> None:
    study = world_study(budget=Budget(seconds=10.0))
    facts = FACTS.model_copy(
        update={"classes": classes, "class_names": tuple(map(str, range(classes)))}
    )
    study.steps["data"] = Step(
        agent="trainer",
        asked_at=0.0,
        ended_at=1.0,
        answer=DataDealt(facts=facts).model_dump(mode="json"),
    )

    text = _why_nothing(study)

    assert f"900 samples of {classes:,} classes" in text
    assert ("join rare classes" in text) == told


async def test_progress_says_how_much_of_the_budget_is_spent(diary: Diary) -> None:
    async with launched(diary) as guild:
        stream = guild.client.stream("research", wanted(), whole_conversation=True, timeout_s=60)
        items = [item async for item in stream]

    shown = [i for i in items if isinstance(i, Progress) and i.task == "study first"]
    shares = [item.done for item in shown]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert re.search(r"finished; best \w+ \d+\.\d\d % on (3 folds|one fold)", shown[-1].text)
