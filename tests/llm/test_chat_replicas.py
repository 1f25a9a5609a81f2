"""Several processes with the same chat agent, and the death of one in the middle of an answer."""

import asyncio
from pathlib import Path

import pytest

from agents.llm import ChatReply, ChatRequest
from guild.client import GuildClient
from tests.guild.processes import TIMEOUT_S, line, running_module
from tests.llm.chat_worker import shared_spec
from tests.servers import running_redis


@pytest.mark.long
async def test_what_a_killed_process_was_answering_is_answered_by_another(tmp_path: Path) -> None:
    module = "tests.llm.chat_worker"
    request = ChatRequest(messages=({"role": "user", "content": "Who are you?"},))
    with running_redis(tmp_path) as server:
        async with (
            running_module(module, server.url, HANG="1") as doomed,
            GuildClient.connect(shared_spec(), bus=server.url) as client,
        ):
            asking = asyncio.create_task(
                client.request("default_topic", request, ChatReply, timeout_s=TIMEOUT_S)
            )
            await line(doomed, "hanging")
            async with running_module(module, server.url) as survivor:
                doomed.kill()
                reply = await asking

    assert reply.content == f"answered by {survivor.pid}"
    assert reply.usage.completion_tokens > 0
