"""The researcher asks a person before a study costs anything."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agents.approvals.agent import ApprovalsAgent
from agents.research.researcher.agent import ResearcherProps
from agents.research.researcher.messages import StudyReport, StudyRequest
from guild import AgentBuilder, Guild, GuildBuilder, GuildSpec
from guild.approvals import Approval
from guild.client import GuildClient
from guild.deciding import approve, list_approvals, reject
from guild.errors import SpecError
from guild.progress import Progress
from guild.testing import PATIENCE_S
from messaging.errors import RequestFailedError
from tests.research.researcher.test_agent import Diary, bus_for, diary, spec_of, wanted

__all__ = ["diary"]  # a fixture


def spec(diary: Diary, approvals: dict[str, Any]) -> GuildSpec:
    plain = spec_of(diary)
    researcher, trainer = plain.agents
    props = ResearcherProps(approvals=approvals)
    asking = researcher.model_copy(update={"properties": props.model_dump(exclude_defaults=True)})
    desk = AgentBuilder(ApprovalsAgent).set_id("desk").listen_to_default_topic(False)
    guild = plain.model_copy(update={"agents": (asking, trainer)})
    return (
        GuildBuilder.from_spec(guild)
        .add_agent_spec(desk.add_additional_topic("approvals").build_spec())
        .build_spec()
    )


@asynccontextmanager
async def launched(diary: Diary, approvals: dict[str, Any]) -> AsyncIterator[Guild]:
    guild_spec = spec(diary, approvals)
    async with bus_for(guild_spec) as bus, Guild.launch(guild_spec, bus=bus) as guild:
        yield guild


def asked(guild: Guild, request: StudyRequest) -> asyncio.Task[StudyReport]:
    waiting = guild.client.request("research", request, StudyReport, timeout_s=60)
    return asyncio.create_task(waiting)


async def lying(client: GuildClient, count: int = 1) -> Sequence[Approval]:
    async with asyncio.timeout(3 * PATIENCE_S):
        while True:
            found = await list_approvals(client)
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)


async def test_nothing_is_begun_before_a_person_has_approved_it_and_then_all_of_it_once(
    diary: Diary,
) -> None:
    async with launched(diary, {}) as guild:
        report = asked(guild, wanted(6))
        (approval,) = await lying(guild.client)
        assert approval.request.what == "Study first: find the best model for digits"
        assert approval.request.why == "It may take 6 trials, 2 trials at once."
        assert approval.request.details["budget"]["trials"] == 6
        assert approval.asker == "researcher"
        assert diary.asked == {}

        await approve(guild.client, approval.id, by="ada")

        assert (await report).trials == 6
        assert set(diary.asked.values()) == {1}


async def test_a_study_that_was_rejected_fails_with_the_reason_and_may_be_asked_again(
    diary: Diary,
) -> None:
    async with launched(diary, {"before": ["study"]}) as guild:
        report = asked(guild, wanted(6))
        (approval,) = await lying(guild.client)
        await reject(guild.client, approval.id, by="ada", reason="not today")
        with pytest.raises(RequestFailedError, match="not begun: it was rejected by ada: not to"):
            await report
        assert diary.asked == {}

        report = asked(guild, wanted(6))
        (again,) = await lying(guild.client)
        assert again.id != approval.id
        await approve(guild.client, again.id, by="ada")
        assert (await report).trials == 6


@pytest.mark.parametrize("may_propose", [True, False])
async def test_without_an_approval_of_the_language_model_others_propose(
    diary: Diary, may_propose: bool
) -> None:
    request = wanted(30, proposers=("llm",), parallel=1)
    async with launched(diary, {"before": ["language_model"]}) as guild:
        report = asked(guild, request)
        (approval,) = await lying(guild.client)
        assert "50,000 tokens" in approval.request.why

        await (approve if may_propose else reject)(guild.client, approval.id, by="ada")

        assert (await report).trials == 30
    assert ("ProposeRecipe" in diary.asked) is may_propose


async def test_both_are_asked_at_once_and_waited_for(diary: Diary) -> None:
    async with launched(diary, {}) as guild:
        report = asked(guild, wanted(6, proposers=("llm", "search")))
        study, model = await lying(guild.client, 2)

        await approve(guild.client, model.id, by="ada")
        assert diary.asked == {}
        await approve(guild.client, study.id, by="ada")

        assert (await report).trials == 6


async def test_whoever_watches_is_told_that_a_person_has_to_decide(diary: Diary) -> None:
    async with launched(diary, {}) as guild:
        items = guild.client.stream("research", wanted(6), timeout_s=60)
        async for item in items:
            if isinstance(item, Progress) and "approvals list" in item.text:
                (approval,) = await lying(guild.client)
                await approve(guild.client, approval.id, by="ada")

    assert isinstance(item, StudyReport)


async def test_a_study_that_waits_outlives_its_process(diary: Diary, tmp_path: Path) -> None:
    guild_spec = spec(diary, {}).model_copy(update={"drain_s": 0.0})
    async with bus_for(guild_spec) as bus:
        async with Guild.launch(guild_spec, bus=bus) as guild:
            await guild.client.publish("research", wanted(6))
            (approval,) = await lying(guild.client)
        async with Guild.launch(guild_spec, bus=bus) as guild:
            report = asked(guild, wanted(6))
            await approve(guild.client, approval.id, by="ada")

            assert (await report).trials == 6
            assert await list_approvals(guild.client) == []


async def test_asking_without_a_desk_is_refused_with_its_place(diary: Diary) -> None:
    with pytest.raises(SpecError, match="no desk takes what is asked on the topic 'elsewhere'"):
        async with launched(diary, {"topic": "elsewhere"}):
            pass
