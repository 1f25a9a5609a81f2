"""The command as a process: signals, closed pipes, terminals."""

import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Start, until
from tests.reliability.workers.patience import stretched

HURRIES_WITHIN_S = 1.0
GUILDBUS = f"{sys.executable} -m guild.cli"
ENDLESS = ("crew.work", "is_endless=true")


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)


def test_a_guild_is_told_on_stderr_and_drains_at_the_first_signal(spec: Path, start: Start) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        guild = start("run", spec)
        until(guild.stderr, "crew is running on embedded:")
        guild.send_signal(number)

        out, err = guild.communicate()

        assert (guild.returncode, out) == (0, "")
        assert "stopping: work in hand is finished or given back" in err


def test_a_second_signal_ends_the_guild_at_once_and_loses_nothing(spec: Path, start: Start) -> None:
    guild = start("run", spec)
    until(guild.stderr, "is running")
    asking = start("request", spec, *ENDLESS)
    until(asking.stderr, "and another")
    guild.terminate()
    until(guild.stderr, "stopping")
    guild.terminate()
    guild.communicate(timeout=stretched(HURRIES_WITHIN_S))
    asking.terminate()
    asking.communicate()

    agents, _ = start("agents", spec, "--json").communicate()

    assert guild.returncode == 130
    assert '"in_hand": 1' in agents


def test_a_guild_whose_log_has_lost_its_reader_works_on_and_ends_when_it_is_asked_to(
    spec: Path, start: Start
) -> None:
    guild = start("run", spec)
    until(guild.stderr, "is running")
    guild.stderr.close()
    failing = start("request", spec, "crew.break", "why=no reason")  # and tells its log of it
    failing.communicate()
    asking = start("request", spec, "crew.work", "--json")
    out, _ = asking.communicate()

    guild.terminate()

    assert guild.wait(timeout=stretched(10)) == 0
    assert (failing.returncode, asking.returncode) == (1, 0)
    assert '"crew.worked"' in out


def test_an_interrupted_request_says_how_to_stop_the_work(spec: Path, start: Start) -> None:
    guild = start("run", spec)
    until(guild.stderr, "is running")
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        asking = start("request", spec, *ENDLESS)
        until(asking.stderr, "and another")
        asking.send_signal(number)

        out, err = asking.communicate()

        assert (asking.returncode, out) == (code, "")
        assert f"guildbus cancel {spec} " in err
    guild.terminate()
    guild.communicate()


def test_a_tap_ends_by_ctrl_c_and_shows_each_message_at_once(spec: Path, start: Start) -> None:
    guild = start("run", spec)
    until(guild.stderr, "is running")
    tap = start("tap", spec, "aside", "--from-start")
    start("publish", spec, "crew.work", "--topic", "aside").communicate()

    until(tap.stdout, "aside client: crew.work")

    tap.send_signal(signal.SIGINT)
    tap.communicate()
    assert tap.returncode == 130
    guild.terminate()
    guild.communicate()


def test_a_reader_that_has_seen_enough_is_no_error(start: Start) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    command = start("schema", stdout=writing)
    os.close(writing)
    _, err = command.communicate()

    assert (command.returncode, err) == (0, "")


def test_log_lines_off_a_terminal_are_json_on_stderr(spec: Path, start: Start) -> None:
    guild = start("run", spec, "--request", "crew.break", "why=glass")

    out, err = guild.communicate()

    assert (guild.returncode, out) == (1, "")
    assert '"event": "delivery.dead_lettered"' in err
    assert err.splitlines()[-1] == "worker answered with RuntimeError: broken: glass"


@pytest.mark.parametrize(
    ("words", "environ", "is_shown"),
    [
        ((), {}, False),
        (("--log-level", "warning"), {}, True),
        ((), {"GUILDBUS_LOG__LEVEL": "error"}, True),
        (("--bus", "memory://"), {}, False),
    ],
)
def test_at_a_terminal_a_request_that_fails_is_told_once_unless_the_log_was_asked_for(
    spec: Path, words: tuple[str, ...], environ: dict[str, str], is_shown: bool
) -> None:
    asking = ("run", str(spec), "--request", "crew.break", "why=glass")

    shown = _on_a_terminal(*asking, *words, **environ)

    assert (b"dead_lettered" in shown) is is_shown
    assert b"worker answered with RuntimeError: broken: glass" in shown
    assert shown.count(b"broken: glass") == 1 + is_shown


def test_a_terminal_gets_colour_unless_told_not_to(tmp_path: Path) -> None:
    missing = ("validate", "nowhere.yaml")
    assert b"\x1b[31m" in _on_a_terminal(*missing, NO_COLOR="")
    assert b"\x1b[31m" not in _on_a_terminal(*missing, NO_COLOR="1")


def _on_a_terminal(*words: str, **environ: str) -> bytes:
    """What a command with an error writes to a terminal."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "guild.cli", *words]
    environ = os.environ | {"TERM": "xterm", "COLUMNS": "500"} | environ
    subprocess.run(command, stdout=follower, stderr=follower, env=environ, check=False)
    os.close(follower)
    written = bytearray()
    with suppress(OSError):  # the end of a terminal
        while read := os.read(leader, 100_000):  # in pieces, however late the kernel passes them on
            written += read
    os.close(leader)
    return bytes(written)


NO_DEVICE = """
from types import SimpleNamespace

cuda = SimpleNamespace(is_available=lambda: False)
backends = SimpleNamespace(mps=cuda)
get_num_threads = int
"""
COMMANDS = ("schema", "agents", "agents --json", "validate hello", "graph hello", "doctor")
CLOSED = [
    *((words, ">&-") for words in COMMANDS),
    *((words, closed) for words in ("agents", "doctor") for closed in ("2>&-", ">&- 2>&-")),
]


@pytest.fixture
def no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch loads for seconds, which the doctor alone waits for, and no stream hears of."""
    (tmp_path / "torch.py").write_text(NO_DEVICE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT))))


@pytest.mark.usefixtures("no_torch")
@pytest.mark.parametrize(("words", "closed"), CLOSED)
def test_a_stream_that_the_shell_closed_gets_nothing_and_harms_nothing(
    words: str, closed: str
) -> None:
    done = shell(f"{GUILDBUS} {words} {closed}")

    assert "Traceback" not in done.stderr
    assert done.returncode == 0


@pytest.mark.usefixtures("no_torch")
@pytest.mark.parametrize("words", COMMANDS)
def test_whoever_has_seen_enough_ends_a_command_quietly(words: str) -> None:
    done = shell(f"set -o pipefail; {GUILDBUS} {words} | true")

    assert "Traceback" not in done.stderr
    assert "rror" not in done.stderr
    assert done.returncode == 0


def test_a_full_disk_is_a_sentence() -> None:
    done = shell(f"{GUILDBUS} schema > /dev/full")

    assert done.returncode == 1
    assert done.stderr == "what was to be printed cannot be written: No space left on device\n"


def test_a_question_about_a_guild_loads_nothing_that_it_does_not_need(spec: Path) -> None:
    code = (
        "import sys, atexit; from guild.cli import main; sys.argv[1:] = ['agents', sys.argv[1]];"
        "atexit.register(lambda: print(*{'structlog', 'rich'} & set(sys.modules)));"
        "main()"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(spec)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "nobody runs worker" in done.stderr
    assert done.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize(("level", "is_told"), [("info", True), ("warning", False)])
def test_the_log_of_a_question_is_as_wanted(
    spec: Path, start: Start, level: str, is_told: bool
) -> None:
    tap = start("tap", spec, "--no-follow", "--log-level", level)

    _, err = tap.communicate()

    assert tap.returncode == 0
    assert ('"event": "bus.opened"' in err) == is_told
