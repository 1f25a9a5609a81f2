"""The workspace and package agents ask a person before anything is written, run or fetched."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agents.approvals.agent import ApprovalsAgent
from agents.research.jobs import open_jobs
from agents.research.packages.agent import PackageAgent
from agents.research.packages.messages import InstallPackage
from agents.research.workspace.agent import WorkspaceAgent
from agents.research.workspace.messages import (
    AppendToFile,
    CommandEnded,
    CreateDirectory,
    DirectoryCreated,
    FileWritten,
    RunCommand,
    RunScript,
    WriteFile,
)
from guild import Agent, AgentBuilder, Guild, GuildBuilder
from guild.deciding import approve, reject
from messaging.errors import RequestFailedError
from tests.approvals.shop import lying

pytestmark = pytest.mark.slow


@asynccontextmanager
async def launched(folder: Path, agent: type[Agent[Any]]) -> AsyncIterator[Guild]:
    desk = AgentBuilder(ApprovalsAgent).set_id("desk").listen_to_default_topic(False)
    hands = AgentBuilder(agent).set_id("hands").set_properties({"approvals": {}})
    spec = (
        GuildBuilder("tests")
        .add_resource("jobs", open_jobs, {"workspace": str(folder)})
        .add_agent_spec(hands.set_retry(attempts=1).build_spec())
        .add_agent_spec(desk.add_additional_topic("approvals").build_spec())
        .build_spec()
    )
    async with Guild.launch(spec, bus="memory://") as guild:
        yield guild


async def asked(guild: Guild, request: BaseModel, *, is_approved: bool) -> tuple[str, Any]:
    """What a person was asked about a request, and what came of it."""
    answer = asyncio.create_task(guild.client.request("default_topic", request, timeout_s=60))
    (approval,) = await lying(guild.client)
    act = approve if is_approved else reject
    await act(guild.client, approval.id, by="ada", reason="as I like")
    return approval.request.what, await answer


async def test_nothing_is_written_or_run_before_a_person_has_approved_it(tmp_path: Path) -> None:
    async with launched(tmp_path, WorkspaceAgent) as guild:
        what, written = await asked(
            guild, WriteFile(file_path="a.py", content="print(1)\n"), is_approved=True
        )
        assert (what, written) == (
            "Write the file a.py",
            FileWritten(file_path="a.py", size_bytes=9),
        )
        what, _ = await asked(
            guild, AppendToFile(file_path="a.py", content="print(2)\n"), is_approved=True
        )
        assert what == "Append to the file a.py"
        what, ended = await asked(guild, RunScript(script_path="a.py"), is_approved=True)
        assert what == "Run the script a.py"
        assert isinstance(ended, CommandEnded)
        assert ended.output == "1\n2\n"
        what, ended = await asked(guild, RunCommand(command="echo 3"), is_approved=True)
        assert (what, ended.output) == ("Run the command echo 3", "3\n")
        made = await guild.client.request(
            "default_topic", CreateDirectory(path="sub"), DirectoryCreated, timeout_s=60
        )
        assert made.path == "sub"


async def test_what_was_rejected_is_not_run(tmp_path: Path) -> None:
    async with launched(tmp_path, WorkspaceAgent) as guild:
        with pytest.raises(RequestFailedError, match="rejected by ada: as I like"):
            await asked(guild, RunCommand(command="touch there"), is_approved=False)

    assert not (tmp_path / "there").exists()


async def test_what_fails_after_it_was_approved_is_told(tmp_path: Path) -> None:
    async with launched(tmp_path, WorkspaceAgent) as guild:
        with pytest.raises(RequestFailedError, match="leads out of the workspace"):
            await asked(guild, WriteFile(file_path="../x", content=""), is_approved=True)


async def test_a_package_is_not_fetched_before_a_person_has_approved_it(tmp_path: Path) -> None:
    """Installing is off here, which is only noticed when it is to be done."""
    async with launched(tmp_path, PackageAgent) as guild:
        with pytest.raises(RequestFailedError, match="installing packages is off"):
            await asked(guild, InstallPackage(package_name="six"), is_approved=True)
        with pytest.raises(RequestFailedError, match="NotApprovedError"):
            await asked(guild, InstallPackage(package_name="six"), is_approved=False)
