"""What the workspace agent is asked and what it answers. Paths are relative to the workspace.

A message that was handled when its agent died is handled again: a command runs twice then, and
text may be appended twice; the other requests may be repeated as often as one likes.
"""

import signal

from messaging.wire.message import Message


class ReadFile(Message, wire_name="research.read_file"):
    file_path: str


class FileRead(Message, wire_name="research.file_read"):
    file_path: str
    content: str


class WriteFile(Message, wire_name="research.write_file"):
    """Replace the file, or make it with the folders above it."""

    file_path: str
    content: str


class AppendToFile(Message, wire_name="research.append_to_file"):
    """Add to the end of the file, or make it with the folders above it."""

    file_path: str
    content: str


class FileWritten(Message, wire_name="research.file_written"):
    """`size_bytes` is the size of the whole file now."""

    file_path: str
    size_bytes: int


class ListDirectory(Message, wire_name="research.list_directory"):
    path: str = "."
    recursive: bool = False


class DirectoryListed(Message, wire_name="research.directory_listed"):
    """`entries` are sorted; with `recursive` they are paths from `path`."""

    path: str
    entries: tuple[str, ...]


class CreateDirectory(Message, wire_name="research.create_directory"):
    path: str


class DirectoryCreated(Message, wire_name="research.directory_created"):
    path: str


class RunCommand(Message, wire_name="research.run_command"):
    """Run a command in bash, in the workspace's folder."""

    command: str


class RunScript(Message, wire_name="research.run_script"):
    """Run a Python script, with the workspace's own virtual environment when it has one."""

    script_path: str
    arguments: tuple[str, ...] = ()


class CommandEnded(Message, wire_name="research.command_ended"):
    """What a command or script printed, and how it ended.

    Attributes:
        output: stdout and stderr in the order of their printing, the middle left out if long.
        exit_code: negative for a signal; None when its time was up and it was stopped.
        timeout_s: the time that it had.
    """

    output: str
    exit_code: int | None
    seconds: float
    timeout_s: float

    @property
    def text(self) -> str:
        """The output, with a line at its end that says how it ended unless all was well."""
        if self.exit_code == 0:
            return self.output
        between = "" if not self.output or self.output.endswith("\n") else "\n"
        return f"{self.output}{between}[{self._ending()}]\n"

    def _ending(self) -> str:
        if self.exit_code is None:
            return f"stopped: it did not end within {self.timeout_s:g} s"
        if self.exit_code < 0:
            names = {each.value: each.name for each in signal.Signals}
            return f"ended by {names.get(-self.exit_code, f'signal {-self.exit_code}')}"
        return f"exit code {self.exit_code}"
