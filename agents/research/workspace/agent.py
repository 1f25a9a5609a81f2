"""The workspace agent: files, folders, commands and scripts by messages."""

from typing import Any, Literal

from pydantic import BaseModel

from agents.research.jobs import Jobs
from agents.research.workspace import tools
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
from guild import Agent, BaseAgentProps, Context, handles
from guild.agent.traits import Traits, asks_first
from guild.approvals import ApprovalDecision
from guild.asking import AskFirst, hold, take_up
from guild.progress import Progress
from messaging.wire.replies import RequestFailed

Deed = Literal["write", "append", "run command", "run script"]

_WRITTEN = (FileWritten, RequestFailed)
_RUN = (CommandEnded, RequestFailed)


class WorkspaceProps(BaseAgentProps):
    """Whether a person is asked before anything is written or run.

    Attributes:
        approvals: where; None to ask no one.
    """

    approvals: AskFirst | None = None


class Wanted(BaseModel):
    """What waits for an approval: a message, by what is to be done with it."""

    deed: Deed
    fields: dict[str, Any]


class WorkspaceAgent(Agent[WorkspaceProps]):
    """Works on the files of the workspace; commands and scripts run in child processes."""

    extra = "research"

    def __init__(self, properties: WorkspaceProps, jobs: Jobs) -> None:
        super().__init__(properties)
        self._jobs = jobs

    @classmethod
    def traits(cls, properties: WorkspaceProps) -> Traits:
        steered = "it runs the commands and scripts that it is sent"
        return Traits(untrusted=steered, asks=asks_first(properties.approvals))

    @handles
    async def read_file(self, request: ReadFile) -> FileRead:
        return await tools.read_file(self._jobs, request)

    @handles(answers=_WRITTEN)
    async def write_file(self, request: WriteFile, ctx: Context) -> FileWritten | None:
        if self._asks("write", request, f"Write the file {request.file_path}", ctx):
            return None
        return await tools.write_file(self._jobs, request)

    @handles(answers=_WRITTEN)
    async def append_to_file(self, request: AppendToFile, ctx: Context) -> FileWritten | None:
        if self._asks("append", request, f"Append to the file {request.file_path}", ctx):
            return None
        return await tools.append_to_file(self._jobs, request)

    @handles
    async def list_directory(self, request: ListDirectory) -> DirectoryListed:
        return await tools.list_directory(self._jobs, request)

    @handles
    async def create_directory(self, request: CreateDirectory) -> DirectoryCreated:
        return await tools.create_directory(self._jobs, request)

    @handles(answers=_RUN, emits=[Progress])
    async def run_command(self, request: RunCommand, ctx: Context) -> CommandEnded | None:
        if self._asks("run command", request, f"Run the command {request.command}", ctx):
            return None
        return await tools.run_command(self._jobs, request, ctx)

    @handles(answers=_RUN, emits=[Progress])
    async def run_script(self, request: RunScript, ctx: Context) -> CommandEnded | None:
        if self._asks("run script", request, f"Run the script {request.script_path}", ctx):
            return None
        return await tools.run_script(self._jobs, request, ctx)

    @handles(answers=[FileWritten, CommandEnded, RequestFailed], emits=[Progress])
    async def decided(self, decision: ApprovalDecision, ctx: Context) -> None:
        """Do what was asked for, or tell the sender why not."""
        held = await take_up(decision, Wanted, ctx)
        if held is not None:
            await held.settle(decision, lambda wanted: self._do(wanted, ctx), ctx)

    def _asks(self, deed: Deed, request: BaseModel, what: str, ctx: Context) -> bool:
        """Whether it was put before a person, to be done later or not at all."""
        asks, fields = self.properties.approvals, request.model_dump(mode="json")
        if asks is not None:
            hold(Wanted(deed=deed, fields=fields), asks, ctx, what=what, details=fields)
        return asks is not None

    async def _do(self, wanted: Wanted, ctx: Context) -> BaseModel:
        match wanted.deed:
            case "write":
                return await tools.write_file(self._jobs, WriteFile(**wanted.fields))
            case "append":
                return await tools.append_to_file(self._jobs, AppendToFile(**wanted.fields))
            case "run command":
                return await tools.run_command(self._jobs, RunCommand(**wanted.fields), ctx)
            case "run script":
                return await tools.run_script(self._jobs, RunScript(**wanted.fields), ctx)
