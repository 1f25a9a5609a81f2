"""What the operator says of the jobs of the research agents: their fence, grants and limits."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agents.sandbox import Limits, View
from agents.sandbox.fence import FenceName

KIB = 1024
MIB = 1024 * KIB
# The guild's own: its server, its records. Jobs see these folders of it alone.
STATE = ".guildbus"
EXCHANGE = ".guildbus/exchange"
SCORES = ".guildbus/scores"  # what jobs that score keep from those with a model's code
BOOKS = ".guildbus/scores/trainings"
VAULTS = ".guildbus/scores/studies"
OPTIMIZERS = ".guildbus/optimizers"  # where they are known by name


def _possible(path: str) -> str:
    if "\0" in path:
        raise ValueError("no path holds a zero byte")
    os.fsencode(path)  # nor half a character
    return path


_Path = Annotated[str, AfterValidator(_possible)]


class JobsProps(BaseModel):
    """How the jobs of the research agents run.

    Attributes:
        workspace: the folder that paths in messages are relative to, and may not leave. Jobs can
            change what is in it, but for `.guildbus`, of which they see tokenizers and optimizers.
        tokenizers: the folder, below the workspace, where tokenizers are known by name.
        fence: what keeps jobs apart from the machine: the first that holds here, or one by name;
            "none" lets foreign code do all that this user may.
        read_only: folders outside the workspace, with data or code, that jobs may read.
        gpu: whether jobs see the devices of graphics processors.
        network: whether jobs use the machine's network, with all that listens on it.
        memory_mb: for each job, what it starts included.
        threads: for each job; None shares the cores between `max_jobs`.
        cpu_s: processor time of each process; None is no limit.
        file_size_mb: the largest file that a job may write.
        open_files: for each process.
        processes: for each job.
        tmp_mb: what a job's own /tmp holds, and its /dev/shm.
        tmp_files: how many files and folders each of them holds.
        output_kb: what is kept of what a job prints, half head and half tail.
        timeout_s: for each job, whatever it does; `.inf` is no limit.
        work_timeout_s: for each job that is no training.
        command_timeout_s: for each command and script.
        command_output_kb: what is kept of what a command prints, half head and half tail.
        install_packages: whether packages may be installed into the workspace's own environment.
        max_file_mb: the largest text file that is read or written whole.
        grace_s: what a job has to save a checkpoint when it must stop.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    workspace: _Path = "."
    tokenizers: _Path = ".guildbus/tokenizers"
    fence: FenceName = "auto"
    read_only: tuple[_Path, ...] = ()
    gpu: bool = False
    network: bool = False
    max_jobs: int = Field(default=2, ge=1, le=64)
    memory_mb: int = Field(default=8192, ge=256)
    threads: int | None = Field(default=None, ge=1)
    cpu_s: int | None = Field(default=None, ge=1)
    file_size_mb: int = Field(default=8192, ge=1)
    open_files: int = Field(default=4096, ge=32)
    processes: int = Field(default=64, ge=1)
    tmp_mb: int = Field(default=2048, ge=1)
    tmp_files: int = Field(default=100_000, ge=16)
    output_kb: int = Field(default=64, ge=1, le=4096)
    timeout_s: float = Field(default=86_400.0, gt=0)
    work_timeout_s: float = Field(default=3600.0, gt=0)
    command_timeout_s: float = Field(default=120.0, gt=0)
    command_output_kb: int = Field(default=64, ge=1, le=4096)
    install_packages: bool = False
    max_file_mb: int = Field(default=8, ge=1, le=1024)
    grace_s: float = Field(default=5.0, ge=0)

    def limits(self) -> Limits:
        return Limits(
            time_s=self.timeout_s,
            memory_bytes=self.memory_mb * MIB,
            cpu_s=self.cpu_s,
            file_size_bytes=self.file_size_mb * MIB,
            open_files=self.open_files,
            processes=self.processes,
            threads=self.threads,
            tmp_bytes=self.tmp_mb * MIB,
            tmp_files=self.tmp_files,
            output_bytes=self.output_kb * KIB,
        )

    def view(self) -> View:
        """What every job sees: nothing of the guild's own state, whose server listens there."""
        workspace = Path(self.workspace).resolve()
        return View(
            hidden=() if self.fence == "none" else (str(workspace / STATE),),
            read_only=tuple(str(Path(path).expanduser().resolve()) for path in self.read_only),
            gpu=self.gpu,
            network=self.network,
        )
