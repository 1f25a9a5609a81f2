"""The command line in this process, and a guild for it to talk to."""

import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog
from typer.testing import CliRunner

from guild.cli.app import app
from tests.servers import embedded_binary

ROOT = Path(__file__).parents[2]
SPEC = """
id: crew
bus: {bus}
drain_s: 0.2
agents:
  - id: worker
    type: tests.cli.crew:Worker
    topics: [jobs]
    retry: {{attempts: 1}}
"""


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def documents(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A folder and an environment of its own, and a log that keeps quiet in this process."""
    for name in ("GUILDBUS_BUS", "GUILDBUS_URL", "GUILDBUS_LOG__LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GUILDBUS_ALLOW", "tests.cli")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("guild.cli.printing.logs.configure_logs", lambda *_, **__: None)
    monkeypatch.chdir(tmp_path)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
def run() -> Run:
    """Run a command of `guildbus` in this process."""

    def invoke(*words: str | Path, stdin: str = "") -> Outcome:
        result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return invoke


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start `guildbus` in processes of its own, which end with the test at the latest."""
    with contextlib.ExitStack() as stack:

        def starting(*words: str | Path, **options: Any) -> subprocess.Popen[str]:
            process = started(*words, **options)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield starting


def started(*words: str | Path, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "guild.cli", *map(str, words)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **(pipes | options))


def until(lines: Iterator[str] | Any, wanted: str) -> Sequence[str]:
    """The lines up to the one that holds `wanted`."""
    seen = []
    for line in lines:
        seen.append(line)
        if wanted in line:
            return seen
    raise AssertionError(f"{wanted!r} is not among {seen}")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """The crew on a server of its own, which nobody has started."""
    embedded_binary()
    path = tmp_path / "crew.yaml"
    path.write_text(SPEC.format(bus=f"embedded:{tmp_path / 'bus'}"))
    return path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The spec of a crew that is at work for as long as the module's tests run."""
    embedded_binary()
    folder = tmp_path_factory.mktemp("crew")
    path = folder / "crew.yaml"
    path.write_text(SPEC.format(bus=f"embedded:{folder / 'bus'}"))
    guild = started("run", path, "--allow", "tests.cli", cwd=ROOT)
    until(guild.stderr, "is running")
    yield path
    guild.terminate()
    guild.communicate()
