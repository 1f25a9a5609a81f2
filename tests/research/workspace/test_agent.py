"""The workspace by messages."""

from collections.abc import AsyncIterator
from typing import TypeVar

import pytest
import pytest_asyncio
from pydantic import BaseModel

from agents.research.jobs import open_jobs
from agents.research.workspace.agent import WorkspaceAgent
from agents.research.workspace.messages import (
    AppendToFile,
    CommandEnded,
    CreateDirectory,
    DirectoryCreated,
    DirectoryListed,
    FileRead,
    FileWritten,
    ListDirectory,
    ReadFile,
    RunCommand,
    RunScript,
    WriteFile,
)
from guild import AgentBuilder, Guild, GuildBuilder
from guild.progress import Progress
from messaging.errors import RequestFailedError

A = TypeVar("A", bound=BaseModel)

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guild(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guild]:
    workspace = tmp_path_factory.mktemp("workspace")
    spec = (
        GuildBuilder("tests")
        .add_resource("jobs", open_jobs, {"workspace": str(workspace)})
        .add_agent_spec(
            AgentBuilder(WorkspaceAgent)
            .set_id("workspace")
            .listen_to_default_topic(False)
            .add_additional_topic("workspace")
            .build_spec()
        )
        .build_spec()
    )
    async with Guild.launch(spec, bus="memory://") as launched:
        yield launched


async def ask(guild: Guild, request: BaseModel, answer: type[A]) -> A:
    return await guild.client.request("workspace", request, answer, timeout_s=60)


async def test_files_and_folders_by_messages(guild: Guild) -> None:
    await ask(guild, CreateDirectory(path="logs"), DirectoryCreated)
    await ask(guild, WriteFile(file_path="logs/a.txt", content="one\n"), FileWritten)
    written = await ask(guild, AppendToFile(file_path="logs/a.txt", content="two\n"), FileWritten)
    read = await ask(guild, ReadFile(file_path="logs/a.txt"), FileRead)
    listed = await ask(guild, ListDirectory(recursive=True), DirectoryListed)

    assert written.size_bytes == 8
    assert read.content == "one\ntwo\n"
    assert listed.entries == ("logs", "logs/a.txt")


async def test_commands_and_scripts_by_messages(guild: Guild) -> None:
    script = WriteFile(file_path="add.py", content="import sys\nprint(sum(map(int, sys.argv[1:])))")
    await guild.client.request("workspace", script, FileWritten, timeout_s=60)
    request = RunScript(script_path="add.py", arguments=("1", "2"))

    items = [item async for item in guild.client.stream("workspace", request, timeout_s=60)]
    failed = await guild.client.request(
        "workspace", RunCommand(command="echo no >&2; exit 2"), CommandEnded, timeout_s=60
    )

    assert [item.task for item in items if isinstance(item, Progress)]
    assert isinstance(items[-1], CommandEnded)
    assert items[-1].text == "3\n"
    assert (failed.exit_code, failed.output) == (2, "no\n")


async def test_a_path_out_of_the_workspace_is_told_to_the_requester(guild: Guild) -> None:
    with pytest.raises(RequestFailedError, match="leads out of the workspace"):
        await guild.client.request("workspace", ReadFile(file_path="../x"), timeout_s=60)


async def test_what_ended_well_is_only_its_output() -> None:
    ended = CommandEnded(output="all\n", exit_code=0, seconds=0.1, timeout_s=120.0)

    assert ended.text == "all\n"
    assert ended.model_copy(update={"exit_code": None}).text == (
        "all\n[stopped: it did not end within 120 s]\n"
    )
