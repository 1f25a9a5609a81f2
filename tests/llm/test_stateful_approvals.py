"""`llm.stateful` asks a person before it runs a call, and takes no step twice for it."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agents.approvals.agent import ApprovalsAgent
from agents.llm import StatefulAgent, StatefulAgentProps, StatefulReply, Toolbox
from agents.llm.stateful.walk import Walk
from guild import AgentBuilder, Guild, GuildBuilder
from guild.approvals import Approval
from guild.checking.plan import Plan
from guild.deciding import approve, list_approvals, reject
from guild.errors import SpecError
from guild.spec.spec import GuildSpec
from messaging.bus import Bus
from messaging.errors import RequestFailedError
from messaging.wire.envelope import new_id
from messaging.wire.topic import DEFAULT_TOPIC
from tests.llm.test_stateful_agent import _resource, request, roomy_chat
from tests.messaging.conftest import Site, site, url_of
from tests.reliability.workers.patience import stretched
from tests.servers import SERVER_KINDS

__all__ = ["roomy_chat", "site", "url_of"]  # fixtures

# Two calls one after the other, whatever the model likes.
MACHINE = {
    "start": "plan",
    "max_steps": 4,
    "states": {
        "plan": {"max_characters": 20, "next": ["first"]},
        "first": {"tools": [{"name": "look"}], "next": ["second"]},
        "second": {"tools": [{"name": "spend"}], "next": ["answer"]},
        "answer": {"choice": ["yes", "no"]},
    },
}

runs: Counter[str] = Counter()


def look(far: bool) -> str:
    """Look around."""
    runs["look"] += 1
    return "a tree"


def spend(much: bool) -> str:
    """Spend money."""
    runs["spend"] += 1
    return "spent"


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    runs.clear()


def spec(model: Path, approvals: dict[str, Any] | None, tools: Any = (look, spend)) -> GuildSpec:
    props = StatefulAgentProps(
        model=str(model), device="cpu", machine=MACHINE, approvals=approvals, seed=3
    )
    desk = AgentBuilder(ApprovalsAgent).set_id("desk").listen_to_default_topic(False)
    planner = AgentBuilder(StatefulAgent).set_id("planner").set_properties(props)
    return (
        GuildBuilder("planners")
        .set_messaging("memory://")
        .add_resource("tools", _resource(tools))
        .add_agent_spec(planner.set_retry(attempts=1).build_spec())
        .add_agent_spec(desk.add_additional_topic("approvals").build_spec())
        .build_spec()
    )


def asked(guild: Guild, message_id: str = "") -> asyncio.Task[StatefulReply]:
    asking = guild.client.request(
        DEFAULT_TOPIC, request(), StatefulReply, timeout_s=stretched(60), message_id=message_id
    )
    return asyncio.create_task(asking)


async def next_of(guild: Guild, seen: set[str], reply: asyncio.Task[StatefulReply]) -> Approval:
    """The approval that is asked for next."""
    async with asyncio.timeout(stretched(60)):
        while True:
            assert not reply.done(), reply.result()
            for approval in await list_approvals(guild.client):
                if approval.id not in seen:
                    seen.add(approval.id)
                    return approval
            await asyncio.sleep(0.01)


async def test_each_call_waits_for_its_own_decision_and_nothing_is_said_or_run_twice(
    roomy_chat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[int] = []
    say = Walk._say

    async def counted(self: Walk, number: int) -> Any:
        said.append(number)
        return await say(self, number)

    monkeypatch.setattr(Walk, "_say", counted)
    async with Guild.launch(spec(roomy_chat, {})) as guild:
        reply, seen = asked(guild), set[str]()
        first = await next_of(guild, seen, reply)
        assert first.request.details["tool"] == "look"
        assert first.request.what == "Call look"
        assert runs == {}
        await approve(guild.client, first.id, by="ada")
        second = await next_of(guild, seen, reply)
        assert second.request.details["tool"] == "spend"
        assert runs == {"look": 1}
        await reject(guild.client, second.id, by="ada", reason="too dear")
        answer = await reply

    assert said == [1, 2, 3, 4]
    assert runs == {"look": 1}
    assert [step.state for step in answer.steps] == ["plan", "first", "second", "answer"]
    assert answer.steps[1].result == "a tree"
    assert answer.steps[1].value["arguments"] == first.request.details["arguments"]
    assert answer.steps[2].is_error
    assert "not allowed: it was rejected by ada: too dear" in str(answer.steps[2].result)
    assert answer.usage.completion_tokens > 0


async def test_only_the_calls_that_are_named_are_asked_about(roomy_chat: Path) -> None:
    async with Guild.launch(spec(roomy_chat, {"before": ["spend"]})) as guild:
        reply = asked(guild)
        approval = await next_of(guild, set(), reply)
        assert approval.request.details["tool"] == "spend"
        assert runs == {"look": 1}
        await approve(guild.client, approval.id, by="ada")
        await reply

    assert runs == {"look": 1, "spend": 1}


@pytest.mark.parametrize("site", SERVER_KINDS, indirect=True)
async def test_an_approved_call_is_the_one_that_was_shown_after_a_restart_too(
    roomy_chat: Path, site: Site
) -> None:
    guild_spec, kept = spec(roomy_chat, {"before": ["look"]}), new_id()
    messages = Plan.of(guild_spec).messages
    async with (
        Bus(await site.open(), registry=messages, owns_backend=False) as bus,
        Guild.launch(guild_spec, bus=bus) as guild,
    ):
        reply = asked(guild, kept)
        approval = await next_of(guild, set(), reply)
        reply.cancel()

    async with (
        Bus(await site.open(), registry=messages, owns_backend=False) as bus,
        Guild.launch(guild_spec, bus=bus) as guild,
    ):
        reply = asked(guild, kept)
        await approve(guild.client, approval.id, by="ada")
        answer = await reply

    assert runs == {"look": 1, "spend": 1}
    assert answer.steps[1].value["arguments"] == approval.request.details["arguments"]


async def test_what_fails_after_the_decision_is_told_to_who_asked(
    roomy_chat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Guild.launch(spec(roomy_chat, {"before": ["spend"]})) as guild:
        reply = asked(guild)
        approval = await next_of(guild, set(), reply)
        monkeypatch.setattr(Walk, "to_the_end", _broken)
        await approve(guild.client, approval.id, by="ada")
        with pytest.raises(RequestFailedError, match="broken"):
            await reply


async def _broken(_: Walk) -> None:
    raise RuntimeError("broken")


async def test_a_box_that_refuses_is_asked_as_well(roomy_chat: Path) -> None:
    box = Toolbox([look, spend], approve=lambda call: f"not {call.name}")
    async with Guild.launch(spec(roomy_chat, {}, box)) as guild:
        reply, seen = asked(guild), set[str]()
        for _ in range(2):
            await approve(guild.client, (await next_of(guild, seen, reply)).id, by="ada")
        answer = await reply

    assert runs == {}
    assert "not look" in str(answer.steps[1].result)


def test_a_tool_that_no_state_calls_is_refused_with_its_place(roomy_chat: Path) -> None:
    with pytest.raises(ValueError, match=r"no state calls a tool 'spent'.*spend"):
        StatefulAgentProps(model="x", machine=MACHINE, approvals={"before": ["spent"]})


async def test_asking_where_no_desk_listens_is_refused(roomy_chat: Path) -> None:
    with pytest.raises(SpecError, match="no desk takes what is asked on the topic 'aprovals'"):
        Plan.of(spec(roomy_chat, {"topic": "aprovals"}))
