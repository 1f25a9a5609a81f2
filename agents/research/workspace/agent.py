"""The workspace agent: files, folders, commands and scripts by messages."""

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
from guild import Agent, Context, handles
from guild.progress import Progress


class WorkspaceAgent(Agent):
    """Works on the files of the workspace; commands and scripts run in child processes."""

    extra = "research"

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs

    @handles
    async def read_file(self, request: ReadFile) -> FileRead:
        return await tools.read_file(self._jobs, request)

    @handles
    async def write_file(self, request: WriteFile) -> FileWritten:
        return await tools.write_file(self._jobs, request)

    @handles
    async def append_to_file(self, request: AppendToFile) -> FileWritten:
        return await tools.append_to_file(self._jobs, request)

    @handles
    async def list_directory(self, request: ListDirectory) -> DirectoryListed:
        return await tools.list_directory(self._jobs, request)

    @handles
    async def create_directory(self, request: CreateDirectory) -> DirectoryCreated:
        return await tools.create_directory(self._jobs, request)

    @handles(emits=[Progress])
    async def run_command(self, request: RunCommand, ctx: Context) -> CommandEnded:
        return await tools.run_command(self._jobs, request, ctx)

    @handles(emits=[Progress])
    async def run_script(self, request: RunScript, ctx: Context) -> CommandEnded:
        return await tools.run_script(self._jobs, request, ctx)
