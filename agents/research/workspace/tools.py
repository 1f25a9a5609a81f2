"""The tools that work on the workspace, one function each, for messages and plain calls alike."""

import asyncio
from typing import Any

from agents.research.jobs import Audience, Jobs
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

_COMMANDS = "agents.research.workspace.commands"
_TASK_CHARS = 80
_SPARE_S = 5.0  # for a job to tell of its command's end, before it is ended itself


async def read_file(jobs: Jobs, request: ReadFile) -> FileRead:
    content = await asyncio.to_thread(jobs.files.read, request.file_path)
    return FileRead(file_path=request.file_path, content=content)


async def write_file(jobs: Jobs, request: WriteFile) -> FileWritten:
    size_bytes = await asyncio.to_thread(jobs.files.write, request.file_path, request.content)
    return FileWritten(file_path=request.file_path, size_bytes=size_bytes)


async def append_to_file(jobs: Jobs, request: AppendToFile) -> FileWritten:
    size_bytes = await asyncio.to_thread(jobs.files.append, request.file_path, request.content)
    return FileWritten(file_path=request.file_path, size_bytes=size_bytes)


async def list_directory(jobs: Jobs, request: ListDirectory) -> DirectoryListed:
    entries = await asyncio.to_thread(jobs.files.list, request.path, recursive=request.recursive)
    return DirectoryListed(path=request.path, entries=tuple(entries))


async def create_directory(jobs: Jobs, request: CreateDirectory) -> DirectoryCreated:
    await asyncio.to_thread(jobs.files.make_directory, request.path)
    return DirectoryCreated(path=request.path)


async def run_command(jobs: Jobs, request: RunCommand, audience: Audience) -> CommandEnded:
    payload = request.model_dump(mode="json")
    return await _run(jobs, "run_command", payload, audience, request.command)


async def run_script(jobs: Jobs, request: RunScript, audience: Audience) -> CommandEnded:
    jobs.inside(request.script_path, key="script_path")
    payload = request.model_dump(mode="json")
    return await _run(jobs, "run_script", payload, audience, request.script_path)


async def _run(
    jobs: Jobs, name: str, payload: dict[str, Any], audience: Audience, what: str
) -> CommandEnded:
    limits = {"timeout_s": jobs.command_timeout_s, "output_bytes": jobs.command_output_bytes}
    done = await jobs.run(
        f"{_COMMANDS}:{name}",
        payload | limits,
        audience,
        task=f"run {what[:_TASK_CHARS]}",
        timeout_s=jobs.command_timeout_s + _SPARE_S,
        hidden=(),  # a user's own scripts may use whatever is installed
    )
    return CommandEnded(**done.result, timeout_s=jobs.command_timeout_s)
