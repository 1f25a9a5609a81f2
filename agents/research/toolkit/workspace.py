"""Tools that work on the files of the workspace, and run commands in it."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pydantic import BaseModel

from agents.research.jobs import Jobs
from agents.research.toolkit.calls import Calls
from agents.research.toolkit.plain import asked, plain
from agents.research.workspace import tools
from agents.research.workspace.messages import (
    AppendToFile,
    CreateDirectory,
    ListDirectory,
    ReadFile,
    RunCommand,
    RunScript,
    WriteFile,
)

Q = TypeVar("Q", bound=BaseModel)
A = TypeVar("A", bound=BaseModel)


class WorkspaceTools(Calls):
    """Files, folders, commands and scripts."""

    def read_file(self, file_path: str) -> str:
        """The whole content of a text file, line ends as they are.

        Raises:
            WorkRefusedError: there is no such file, it is no UTF-8 text, or it is too large to be
                read whole.
        """
        return self._file(tools.read_file, asked(ReadFile, file_path=file_path)).content

    def write_file(self, file_path: str, content: str) -> None:
        """Replace the file's content, or make it with the folders above it.

        Other readers see the old content or the new, never a part.

        Raises:
            WorkRefusedError: the path is a folder or a link, or the disk is full; nothing changed.
        """
        self._file(tools.write_file, asked(WriteFile, file_path=file_path, content=content))

    def append_to_file(self, file_path: str, content: str) -> None:
        """Add to the end of the file, or make it with the folders above it.

        Raises:
            WorkRefusedError: as `write_file`.
        """
        self._file(tools.append_to_file, asked(AppendToFile, file_path=file_path, content=content))

    def bash_run(self, command: str) -> str:
        """Run a command in bash, in the workspace, with its own virtual environment first in PATH.

        What it leaves running ends with it.

        Returns:
            stdout and stderr in the order of their printing; of long ones the head and the tail. A
            last line tells the exit code unless it is 0, or that the time was up.

        Raises:
            WorkOverLimitError: it took more memory or processes than it may.
        """
        return self._run(tools.run_command, asked(RunCommand, command=command))

    def python_run(self, script_path: str, *args: str) -> str:
        """Run a Python script with arguments, by the workspace's own virtual environment if any.

        Returns:
            as `bash_run`.

        Raises:
            WorkRefusedError: there is no such script.
            WorkOverLimitError: as `bash_run`.
        """
        return self._run(
            tools.run_script, asked(RunScript, script_path=script_path, arguments=args)
        )

    def list_directory(self, path: str = ".", recursive: bool = False) -> list[str]:
        """Names of what a folder holds, sorted; with `recursive` paths from that folder.

        Raises:
            WorkRefusedError: there is no such folder.
        """
        request = asked(ListDirectory, path=path, recursive=recursive)
        return list(self._file(tools.list_directory, request).entries)

    def create_directory(self, path: str) -> None:
        """Make a folder and those above it; nothing if it is there.

        Raises:
            WorkRefusedError: a file has the name.
        """
        self._file(tools.create_directory, asked(CreateDirectory, path=path))

    def _file(self, tool: Callable[[Jobs, Q], Coroutine[Any, Any, A]], request: Q) -> A:
        return self._loop.run(tool(self._jobs, request))

    def _run(self, tool: Callable[..., Coroutine[Any, Any, Any]], request: BaseModel) -> str:
        text: str = self._loop.run(tool(self._jobs, plain(request), self._audience)).text
        return text
