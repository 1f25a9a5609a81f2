"""Code blocks of a Markdown page, and a reader who does what they say."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from tests.servers import free_port, missing

PORT = "8700"
"""On which the pages serve; a reader takes one that is free in its place."""

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"# ([\w./]+\.\w+)\n")
_SIGNAL = re.compile(r"kill( -9)? %(\d+)")
_KEPT = re.compile(r"export (\w+)=\$\((.+)\)")
_ID = re.compile(r"\b(?:[0-9a-f]{32}|\d{13}-\d+)\b")  # of a message, or a position


class Block(NamedTuple):
    """One block; `file` is the name in its first comment, "" without one."""

    language: str
    file: str
    text: str


class Step(NamedTuple):
    """A command of a console block, and what it prints; `...` stands for anything."""

    command: str
    output: Sequence[str]


def blocks_of(page: Path) -> list[Block]:
    blocks = []
    for language, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        name = _FILE_NAME.match(text)
        blocks.append(Block(language, name[1] if name else "", text))
    return blocks


def steps_of(block: Block) -> Iterator[Step]:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, *output = part.rstrip("\n").split("\n")
        yield Step(command, output)


class Reader:
    """Saves named blocks as files, and types what console blocks show, in one folder.

    A command has to succeed, unless the next one is `echo $?`. Of what runs in the background all
    ends with the reader. An id or position that a page shows stands for the one that is printed
    there, in what follows, too.
    """

    def __init__(self, folder: Path, *path: Path) -> None:
        self._folder = folder
        self._environ = {
            name: value for name, value in os.environ.items() if "GUILDBUS" not in name
        }
        self._environ["PYTHONPATH"] = os.pathsep.join(map(str, path))
        self._running = contextlib.ExitStack()
        self._jobs: list[subprocess.Popen[str]] = []
        self._status = 0
        self._port = str(free_port())
        self._exported: set[str] = set()
        self._ids: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def save(self, block: Block) -> Path:
        path = self._folder / block.file
        path.write_text(block.text)
        return path

    def type_all(self, steps: Sequence[Step]) -> str:
        """Type one after the other; the last one has to succeed, too. Returns what it printed."""
        printed = ""
        for step in steps:
            printed = self.type(step)
        assert self._status == 0, f"{steps[-1]} ended with {self._status}: {printed}"
        return printed

    def type(self, step: Step) -> str:
        """What the command printed.

        Raises:
            AssertionError: it printed something else than the page says, or the one before failed.
        """
        printed = self._do(step._replace(command=self._meant(step.command)))
        shown = "\n".join(step.output)
        told = printed.strip().replace(f":{self._port}", f":{PORT}")
        ids = [each for each in dict.fromkeys(_ID.findall(shown)) if each not in self._ids]
        match = re.fullmatch(self._pattern(shown, ids), told, re.DOTALL)
        assert match, (step, printed)
        self._ids |= zip(ids, match.groups(), strict=True)
        return printed

    def _meant(self, command: str) -> str:
        """The command with what stands here for the port, ids and variables of the page."""
        command = re.sub(rf"\b{PORT}\b", self._port, command)
        for shown, found in self._ids.items():
            command = command.replace(shown, found)
        for name in self._exported:
            command = command.replace(f"${name}", self._environ[name])
        return command

    def _pattern(self, shown: str, ids: Sequence[str]) -> str:
        """What a text stands for that shows `ids` for the first time."""
        pattern = re.escape(shown).replace(re.escape("..."), ".*")
        for known, found in self._ids.items():
            pattern = pattern.replace(re.escape(known), re.escape(found))
        for number, each in enumerate(ids, start=1):
            first, *more = pattern.split(re.escape(each))
            shape = r"\d+-\d+" if "-" in each else "[0-9a-f]{32}"
            pattern = f"{first}({shape})" + rf"\{number}".join(more)
        return pattern

    def _do(self, step: Step) -> str:
        command, status = step.command, self._status
        if command == "echo $?":
            self._status = 0
            return str(status)
        assert status == 0, f"what came before {command!r} ended with {status}"
        if kept := _KEPT.fullmatch(command):
            done = self._run(shlex.split(kept[2]), stderr=subprocess.PIPE)
            self._export({kept[1]: done.stdout.strip()})
            return done.stderr
        if command.startswith("export "):
            self._export(dict(word.split("=", 1) for word in shlex.split(command)[1:]))
            return ""
        if signal := _SIGNAL.fullmatch(command):
            job = self._jobs[int(signal[2]) - 1]
            (job.kill if signal[1] else job.terminate)()
            job.wait()
            return ""
        if command.endswith("&"):
            return self._start(shlex.split(command.removesuffix("&")), len(step.output))
        return self._run(shlex.split(command)).stdout

    def _export(self, variables: dict[str, str]) -> None:
        self._environ |= variables
        self._exported |= set(variables)

    def _run(
        self, words: Sequence[str], stderr: int = subprocess.STDOUT
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            _program(words),
            cwd=self._folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            check=False,
        )
        self._status = done.returncode
        return done

    def _start(self, words: Sequence[str], count: int) -> str:
        """Start it in the background and wait for as many lines as the page shows."""
        process = subprocess.Popen(
            _program(words),
            cwd=self._folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._jobs.append(process)
        self._running.enter_context(process)
        self._running.callback(process.terminate)
        assert process.stdout is not None
        return "".join(process.stdout.readline() for _ in range(count))


def _program(words: Sequence[str]) -> list[str]:
    programs = {"python": [sys.executable], "guildbus": [sys.executable, "-m", "guild.cli"]}
    if words[0] == "curl":
        return [shutil.which("curl") or missing("there is no curl"), *words[1:]]
    assert words[0] in programs, f"no test knows how to run {words[0]}"
    return [*programs[words[0]], *words[1:]]
