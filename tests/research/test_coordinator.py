"""The coordinator's state machine, with workers that answer at once, on the strict memory bus."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from agents.research.coordinator import CoordinatorAgent
from agents.research.jobs import open_jobs
from agents.research.messages import WriteReport
from agents.research.researcher.messages import StudyRequest
from agents.research.run.messages import ResearchReport, ResearchRequest, TextStudy
from guild import AgentBuilder, Guild, GuildBuilder, GuildSpec
from guild.checking.plan import Plan
from guild.progress import Progress, TextDelta
from messaging.backends.memory import MemoryBackend
from messaging.bus import Bus
from messaging.errors import InvalidMessageError, RequestFailedError
from messaging.wire.envelope import new_id
from messaging.wire.message import decode
from tests.research.workers import Script, Worker

TOPICS = (
    "prompts",
    "research.reporter",
    "research.researcher",
    "research.tokenizer",
    "research.trainer",
)
TEXT_STEPS = {"corpus", "tokenizer train", "tokenizer apply", "language model", "completion"}
BOTH = ResearchRequest(name="one")
TEXT = ResearchRequest(name="one", search=None)


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


def spec_of(script: Script) -> GuildSpec:
    coordinator = (
        AgentBuilder(CoordinatorAgent)
        .set_id("coordinator")
        .listen_to_default_topic(False)
        .add_additional_topic("research")
        .build_spec()
    )
    worker = AgentBuilder(Worker).set_id("worker").listen_to_default_topic(False)
    for topic in TOPICS:
        worker.add_additional_topic(topic)
    spec = worker.set_concurrency(16).set_retry(attempts=3, backoff_s=0.0).build_spec()
    return (
        GuildBuilder("tests")
        .add_resource("jobs", open_jobs, {"workspace": str(script.workspace)})
        .add_resource("script", lambda: nullcontext(script))
        .add_agent_spec(coordinator)
        .add_agent_spec(spec)
        .build_spec()
    )


@asynccontextmanager
async def launched(script: Script) -> AsyncIterator[Guild]:
    """The guild on a bus of its own."""
    spec = spec_of(script)
    async with bus_for(spec) as bus, Guild.launch(spec, bus=bus) as guild:
        yield guild


def bus_for(spec: GuildSpec) -> Bus:
    backend = MemoryBackend(f"tests-{new_id()}", strict=True)
    return Bus(backend, name="tests", registry=Plan.of(spec).messages)


async def ask(guild: Guild, request: ResearchRequest, **options: Any) -> ResearchReport:
    return await guild.client.request("research", request, ResearchReport, timeout_s=20, **options)


async def test_a_run_asks_for_every_step_once_and_reports(script: Script) -> None:
    async with launched(script) as guild:
        report = await ask(guild, BOTH)

    assert set(script.asked) == TEXT_STEPS | {"search", "report"}
    assert set(script.asked.values()) == {1}
    assert report.bits_per_byte == 1.5
    assert report.completion.endswith("pass")
    assert report.failures == ()


async def test_the_study_of_a_run_lies_in_its_folder_and_stands_in_its_report(
    script: Script,
) -> None:
    async with launched(script) as guild:
        report = await ask(guild, BOTH)

    search, written = script.messages["search"], script.messages["report"]
    assert isinstance(search, StudyRequest)
    assert search.folder == "runs/one"
    assert isinstance(written, WriteReport)
    assert report.study is not None
    assert written.study == report.study


async def test_a_researcher_that_finds_nothing_leaves_the_language_model(script: Script) -> None:
    script.failing = {"search"}
    async with launched(script) as guild:
        report = await ask(guild, BOTH)

    assert report.study is None
    assert report.bits_per_byte == 1.5
    assert len(report.failures) == 1


async def test_the_prompt_is_shown_right_before_what_follows_it(script: Script) -> None:
    request = TEXT
    async with launched(script) as guild:
        items = [
            item
            async for item in guild.client.bus.stream(
                "research", request, whole_conversation=True, timeout_s=20
            )
        ]

    at = next(n for n, item in enumerate(items) if isinstance(item, TextDelta))
    before, prompt = items[at - 1 : at + 1]
    assert before.task == "run one"
    assert before.text.endswith("completion")
    assert prompt.text == TextStudy().prompt


@pytest.mark.parametrize(("held", "reached"), [("search", "completion"), ("corpus", "search")])
async def test_neither_branch_waits_for_the_other(script: Script, held: str, reached: str) -> None:
    script.held = {held}
    async with launched(script) as guild:
        asking = asyncio.create_task(ask(guild, BOTH))
        await script.wait_for(reached)
        script.release.set()
        await asking


@pytest.mark.parametrize(
    "label", ["corpus", "tokenizer train", "tokenizer apply", "language model", "completion"]
)
async def test_a_failed_text_step_leaves_the_search(script: Script, label: str) -> None:
    script.failing = {label}
    async with launched(script) as guild:
        report = await ask(guild, BOTH)

    assert report.study is not None
    assert len(report.failures) == 1
    content = script.messages["report"]
    assert isinstance(content, WriteReport)
    assert [step.status for step in content.content.steps].count("failed") == 1


async def test_a_run_with_nothing_left_is_a_typed_error_and_may_be_asked_for_again(
    script: Script,
) -> None:
    script.failing = {"search", "corpus"}
    request = BOTH
    async with launched(script) as guild:
        with pytest.raises(RequestFailedError, match="nothing worked") as caught:
            await ask(guild, request)
        script.failing = set()
        report = await ask(guild, request)

    assert caught.value.error_type == "NothingLeftError"
    assert report.failures == ()
    assert script.asked["report"] == 2


async def test_a_report_that_could_not_be_written_is_written_at_the_next_request(
    script: Script,
) -> None:
    script.failing = {"report"}
    request = TEXT
    async with launched(script) as guild:
        with pytest.raises(RequestFailedError, match="does not work"):
            await ask(guild, request)
        script.failing = set()
        await ask(guild, request)

    assert script.asked["report"] == 2
    assert script.asked["language model"] == 1


async def test_a_finished_run_answers_at_once_with_the_same_report(script: Script) -> None:
    async with launched(script) as guild:
        first = await ask(guild, BOTH)
        again = await ask(guild, BOTH)

    assert again == first
    assert set(script.asked.values()) == {1}


async def test_a_finished_run_whose_report_was_deleted_begins_anew(script: Script) -> None:
    request = TEXT
    async with launched(script) as guild:
        first = await ask(guild, request)
        (script.workspace / first.html_path).unlink()
        again = await ask(guild, request)

    assert (script.workspace / again.html_path).exists()
    assert set(script.asked.values()) == {2}


async def test_another_study_under_the_same_name_is_refused(script: Script) -> None:
    async with launched(script) as guild:
        await ask(guild, TEXT)
        with pytest.raises(RequestFailedError, match="another name") as caught:
            await ask(guild, TEXT.model_copy(update={"text": TextStudy(seed=7)}))

    assert caught.value.error_type == "RunConflictError"


async def test_everybody_who_asks_for_a_running_run_is_answered(script: Script) -> None:
    script.held = {"corpus"}
    request = TEXT
    async with launched(script) as guild:
        first = asyncio.create_task(ask(guild, request))
        await script.wait_for("corpus")
        second = asyncio.create_task(ask(guild, request, conversation="later"))
        script.release.set()
        reports = await asyncio.gather(first, second)

    assert reports[0] == reports[1]
    assert set(script.asked.values()) == {1}


async def test_further_steps_are_shown_to_whoever_asked_last(script: Script) -> None:
    script.held = {"corpus"}
    request = TEXT
    async with launched(script) as guild:
        first = asyncio.create_task(ask(guild, request, conversation="early"))
        await script.wait_for("corpus")
        stream = guild.client.stream(
            "research", request, conversation="late", whole_conversation=True, timeout_s=20
        )
        items = []
        async for item in stream:
            items.append(item)
            script.release.set()
        await first

    assert script.conversations["corpus"] == "early"
    assert script.conversations["language model"] == "late"
    assert "language model" in {item.task for item in items if isinstance(item, Progress)}
    assert isinstance(items[-1], ResearchReport)


async def test_an_answer_that_comes_twice_changes_nothing(script: Script) -> None:
    script.answer_twice = {"corpus", "search", "report"}
    async with launched(script) as guild:
        report = await ask(guild, BOTH)

    assert set(script.asked.values()) == {1}
    assert report.failures == ()


async def test_questions_that_are_answered_are_forgotten(script: Script) -> None:
    async with launched(script) as guild:
        await ask(guild, BOTH)
        backend = guild.client.bus.backend
        kept = [await backend.load_state("coordinator", f"asked.{i}") for i in script.message_ids]

    assert kept == [None] * sum(script.asked.values())


async def test_a_guild_that_ends_in_the_middle_goes_on_in_the_next_one(script: Script) -> None:
    script.held = {"search", "language model"}
    spec = spec_of(script).model_copy(update={"drain_s": 0.0})
    request = BOTH
    async with bus_for(spec) as bus:
        async with Guild.launch(spec, bus=bus) as guild:
            await guild.client.publish("research", request)
            await script.wait_for("search")
            await script.wait_for("language model")
        script.release.set()
        async with Guild.launch(spec, bus=bus) as guild:
            report = await ask(guild, request)

    repeated = {label for label, count in script.asked.items() if count > 1}
    assert repeated == {"search", "language model"}
    assert report.failures == ()


@pytest.mark.parametrize("name", ["../up", "a/b", "", "-x", "a" * 65])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        ResearchRequest(name=name)


def test_a_request_of_the_first_version_is_read_unless_it_asks_for_given_architectures() -> None:
    first = {"name": "one", "images": None}

    assert decode(ResearchRequest, json.dumps(first).encode(), version=1) == BOTH
    with pytest.raises(InvalidMessageError, match="images"):
        decode(ResearchRequest, json.dumps(first | {"images": {}}).encode(), version=1)
