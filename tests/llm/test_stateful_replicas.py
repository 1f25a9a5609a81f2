"""A process that dies between two steps: another one goes on behind what it did."""

import asyncio
import os
from pathlib import Path

import pytest

from agents.llm import StatefulReply, StatefulRequest
from guild import Guild
from guild.client import GuildClient
from guild.deciding import approve, list_approvals
from tests.approvals.shop import lying
from tests.guild.processes import TIMEOUT_S, line, running_module
from tests.llm.stateful_worker import shared_spec
from tests.servers import running_redis


@pytest.mark.parametrize("call", [pytest.param(1, marks=pytest.mark.long), 2])
async def test_what_a_killed_process_had_not_done_is_done_by_another(
    tiny_chat: Path, tmp_path: Path, call: int
) -> None:
    module = "tests.llm.stateful_worker"
    request = StatefulRequest(messages=({"role": "user", "content": "Who are you?"},))
    with running_redis(tmp_path) as server:
        async with running_module(module, server.url, str(tiny_chat), str(call)) as doomed:
            spec = shared_spec(tiny_chat)
            async with GuildClient.connect(spec, bus=server.url) as client:
                asking = asyncio.create_task(
                    client.request("default_topic", request, timeout_s=TIMEOUT_S)
                )
                await line(doomed, "hanging")
                async with Guild.launch(spec, bus=server.url):
                    doomed.kill()
                    reply = await asking

    assert isinstance(reply, StatefulReply)
    results = [step.result for step in reply.steps]
    before = [str(doomed.pid)] * (call - 1)
    assert results == [None, *before, *[str(os.getpid())] * (3 - call), None]
    assert [step.state for step in reply.steps] == ["plan", "first", "second", "done"]


async def test_an_approved_call_of_a_killed_process_is_run_by_another_and_is_not_asked_again(
    tiny_chat: Path, tmp_path: Path
) -> None:
    module = "tests.llm.stateful_worker"
    request = StatefulRequest(messages=({"role": "user", "content": "Who are you?"},))
    spec = shared_spec(tiny_chat, asks=True)
    with running_redis(tmp_path) as server:
        async with (
            running_module(module, server.url, str(tiny_chat), "2", "asks") as doomed,
            GuildClient.connect(spec, bus=server.url) as client,
        ):
            asking = asyncio.create_task(
                client.request("default_topic", request, timeout_s=TIMEOUT_S)
            )
            for _ in range(2):
                (approval,) = await lying(client, patience_s=TIMEOUT_S)
                await approve(client, approval.id, by="ada", timeout_s=TIMEOUT_S)
            await line(doomed, "hanging")
            async with Guild.launch(spec, bus=server.url):
                doomed.kill()
                reply = await asking
            asked = await list_approvals(client, wanted="all")

    assert isinstance(reply, StatefulReply)
    assert [step.result for step in reply.steps] == [None, str(doomed.pid), str(os.getpid()), None]
    assert [approval.state for approval in asked] == ["approved", "approved"]
