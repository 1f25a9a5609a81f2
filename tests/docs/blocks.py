"""Code blocks of a Markdown page, and a reader who does what they say."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"# ([\w./]+)\n")


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
    """Saves named blocks as files, and types what console blocks show, in one folder."""

    def __init__(self, folder: Path, path: Path) -> None:
        self._folder = folder
        self._environ = {
            name: value for name, value in os.environ.items() if "GUILDBUS" not in name
        }
        self._environ["PYTHONPATH"] = str(path)
        self._running = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def save(self, block: Block) -> Path:
        path = self._folder / block.file
        path.write_text(block.text)
        return path

    def type(self, step: Step) -> str:
        """What the command printed.

        Raises:
            AssertionError: it failed, or printed something else than the page says.
        """
        if step.command.startswith("export "):
            self._environ.update(word.split("=", 1) for word in shlex.split(step.command)[1:])
            return ""
        if step.command.endswith("&"):
            printed = self._start(shlex.split(step.command.removesuffix("&")), len(step.output))
        else:
            printed = self._run(shlex.split(step.command))
        pattern = re.escape("\n".join(step.output)).replace(re.escape("..."), ".*")
        assert re.fullmatch(pattern, printed.strip(), re.DOTALL), (step, printed)
        return printed

    def _run(self, words: Sequence[str]) -> str:
        done = subprocess.run(
            _program(words),
            cwd=self._folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (words, done.stdout)
        return done.stdout

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
        self._running.enter_context(process)
        self._running.callback(process.terminate)
        assert process.stdout is not None
        return "".join(process.stdout.readline() for _ in range(count))


def _program(words: Sequence[str]) -> list[str]:
    programs = {"python": [sys.executable], "guildbus": [sys.executable, "-m", "guild.cli"]}
    assert words[0] in programs, f"nobody knows how to run {words[0]}"
    return [*programs[words[0]], *words[1:]]
