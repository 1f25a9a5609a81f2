"""A library prints nothing: its log goes where the host has sent it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HOST = """
import asyncio, logging, sys
import structlog
from guild import Agent, GuildBuilder, AgentBuilder, handles
from messaging import Message
{setup}

class Ask(Message): pass
class Other(Message): pass

class Failing(Agent):
    @handles
    async def fail(self, ask: Ask) -> None:
        raise ValueError("no 100%s")

class Reader(Agent):
    @handles
    async def read(self, other: Other) -> None: ...

async def main():
    spec = GuildBuilder("g").set_messaging("memory://")
    for agent in (Failing, Reader):
        built = AgentBuilder(agent).set_id(agent.__name__.lower()).set_retry(attempts=1)
        spec.add_agent_spec(built.build_spec())
    died = asyncio.Event()
    async with spec.launch() as guild:
        guild.client.bus.listen(lambda incident: died.set())
        await guild.client.publish("default_topic", Ask())
        await asyncio.wait_for(died.wait(), 30)

asyncio.run(main())
"""


def streams(setup: str = "") -> tuple[list[str], list[str]]:
    """The lines of a host's stdout and stderr."""
    command = [sys.executable, "-c", HOST.replace("{setup}", setup)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines(), done.stderr.splitlines()


def test_a_host_that_configures_nothing_is_told_what_went_wrong_on_stderr_once() -> None:
    out, err = streams()

    assert out == []
    (line,) = err
    assert line.startswith("delivery.dead_lettered ")
    assert "error='no 100%s'" in line
    assert "agent='failing'" in line


def test_a_host_that_configures_logging_gets_as_much_as_it_asks_for() -> None:
    out, err = streams("logging.basicConfig(level=logging.DEBUG)")

    assert out == []
    assert any(line.startswith("INFO:guildbus:guild.started ") for line in err)
    assert any(line.startswith("DEBUG:guildbus:type.ignored ") for line in err)
    assert len([line for line in err if "dead_letter" in line]) == 1


@pytest.mark.parametrize("setup", ["logging.getLogger('guildbus').setLevel(logging.CRITICAL)"])
def test_a_host_may_want_nothing_of_it(setup: str) -> None:
    assert streams(setup) == ([], [])


def test_a_host_that_configures_structlog_gets_it_there_at_any_time() -> None:
    out, err = streams("structlog.configure(processors=[structlog.processors.JSONRenderer()])")

    assert err == []
    assert any('"event": "type.ignored"' in line for line in out)
    assert len([line for line in out if "dead_letter" in line]) == 1


def test_every_module_takes_its_logger_from_one_place() -> None:
    chosen = {"messaging/process/logs.py", "agents/llm/engines/log.py"}  # the latter knows no bus
    taking = {
        str(file.relative_to(ROOT))
        for package in ("agents", "guild", "messaging")
        for file in (ROOT / package).rglob("*.py")
        if "structlog.get_logger" in file.read_text()
    }

    assert taking == chosen


@pytest.mark.parametrize(("method", "is_loaded"), [("info", False), ("warning", True)])
def test_structlog_is_loaded_with_the_first_line_that_is_wanted(
    method: str, is_loaded: bool
) -> None:
    code = (
        "import sys; from messaging.bus import Bus; from messaging.process.logs import get_logger;"
        f"get_logger().{method}('told', x=1);"
        "print('structlog' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == f"{is_loaded}\n"
    assert ("told x=1" in done.stderr) == is_loaded
