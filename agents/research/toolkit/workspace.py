"""Tools that work on the files of the workspace, and run commands in it."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pydantic import BaseModel

from agents.research.jobs import Jobs
from agents.research.packages.messages import InstallPackage
from agents.research.packages.tools import install_package
from agents.research.scaffold.messages import CreateProject
from agents.research.scaffold.project import create_scaffold
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
    """Files, folders, commands, scripts, packages and new projects."""

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

    def pip_install_pytorch_package(
        self,
        package_name: str,
        version: str | None = None,
        pytorch_version: str = "2.1.0",
        cuda_version: str = "cu118",
        upgrade: bool = False,
    ) -> str:
        """Install a package that goes with the torch that is installed, which stays as it is.

        It goes into the workspace's own virtual environment, made if there is none, which
        `bash_run` and `python_run` use. Only wheels are installed: they run no code meanwhile.

        Returns:
            what pip printed, and in brackets what could be imported afterwards, and which torch is
            installed where another was named.

        Raises:
            WorkRefusedError: the toolkit was not made with `install_packages=True`; there is no
                such package or version; torch or its drivers would change.
        """
        request = asked(
            InstallPackage,
            package_name=package_name,
            version=version,
            pytorch_version=pytorch_version,
            cuda_version=cuda_version,
            upgrade=upgrade,
        )
        return self._loop.run(install_package(self._jobs, plain(request), self._audience)).text

    def create_pytorch_project_scaffold(self, project_name: str, base_dir: str = ".") -> None:
        """Make a research project that trains, evaluates and tests from its first minute.

        Raises:
            WorkRefusedError: the name is not valid, or the folder is not empty; nothing is written.
        """
        request = asked(CreateProject, project_name=project_name, base_dir=base_dir)
        self._loop.run(create_scaffold(self._jobs, request))

    def _file(self, tool: Callable[[Jobs, Q], Coroutine[Any, Any, A]], request: Q) -> A:
        return self._loop.run(tool(self._jobs, request))

    def _run(self, tool: Callable[..., Coroutine[Any, Any, Any]], request: BaseModel) -> str:
        text: str = self._loop.run(tool(self._jobs, plain(request), self._audience)).text
        return text
