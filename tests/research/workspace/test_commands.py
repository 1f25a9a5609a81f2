"""Commands and scripts by the toolkit: what is printed, how it ended, and what is left."""

import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.research import ResearchToolkit
from agents.research.errors import OutsideWorkspaceError, WorkOverLimitError, WorkRefusedError
from guild.progress import Progress

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def seen() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def kit(workspace: Path, seen: list[Progress]) -> Iterator[ResearchToolkit]:
    with ResearchToolkit(
        workspace=workspace, show=seen.append, command_timeout_s=1.5, command_output_kb=4
    ) as opened:
        yield opened


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("echo out; echo err >&2; echo again", "out\nerr\nagain\n"),
        ("printf 'no end'", "no end"),
        ("printf nothing; exit 3", "nothing\n[exit code 3]\n"),
        ("no-such-program", "bash: line 1: no-such-program: command not found\n[exit code 127]\n"),
        ("kill -SEGV $$", "[ended by SIGSEGV]\n"),
        ("kill -40 $$", "[ended by signal 40]\n"),  # of real time, it has no name
        ("cat", ""),  # nothing to read
        ("(read word </dev/tty) 2>/dev/null || echo no terminal", "no terminal\n"),
        ("printf 'caf\\xe9'", "caf\N{REPLACEMENT CHARACTER}"),
        ('echo ${SECRET:-clean}; [ "$PWD" = "$(pwd -P)" ] && echo here', "clean\nhere\n"),
        ("echo a | tee b.txt && ls b.txt && rm b.txt", "a\nb.txt\n"),
    ],
)  # fmt: skip
def test_a_command_tells_what_it_printed_and_how_it_ended(
    kit: ResearchToolkit, monkeypatch: pytest.MonkeyPatch, command: str, text: str
) -> None:
    monkeypatch.setenv("SECRET", "of the host")

    assert kit.bash_run(command) == text


def test_what_no_argument_can_be_is_told_with_what_to_do(
    kit: ResearchToolkit, workspace: Path
) -> None:
    (workspace / "say.py").write_text("import sys; print(len(sys.argv[1]))", "utf-8")
    assert kit.bash_run(f"echo {'é' * 65_500} | wc -m") == "65501\n"
    assert kit.python_run("say.py", "x" * 131_071) == "131071\n"
    for call in (
        lambda: kit.bash_run(f"echo {'é' * 65_600}"),
        lambda: kit.bash_run("echo a\0b"),
        lambda: kit.python_run("say.py", "x" * 131_072),
    ):
        with pytest.raises(WorkRefusedError, match=r"it may have 131,071: write_file what is long"):
            call()


def test_a_command_waits_for_nothing_that_only_models_need(kit: ResearchToolkit) -> None:
    kit.bash_run("true")

    assert kit._jobs._runners.light.server_pid is not None
    assert kit._jobs._runners.usual.server_pid is None


def test_a_command_past_its_time_tells_what_it_had_printed(kit: ResearchToolkit) -> None:
    text = kit.bash_run("echo begun; (setsid sleep 61 &); exec sleep 61")

    assert text == "begun\n[stopped: it did not end within 1.5 s]\n"


def test_what_a_command_leaves_running_does_not_hold_it_up(kit: ResearchToolkit) -> None:
    assert kit.bash_run("sleep 62 & echo done") == "done\n"
    assert kit.bash_run("yes & sleep 0.1; echo done").startswith("y\n")


def test_nothing_of_a_command_is_left_running(kit: ResearchToolkit) -> None:
    kit.bash_run("(setsid sleep 63 &) ; setsid -f sleep 63; echo done")

    assert sleeping("63") == []


def sleeping(seconds: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", seconds.encode()]:
            found.append(path.parent.name)
    return found


def test_a_flood_is_kept_by_its_head_and_tail(kit: ResearchToolkit) -> None:
    text = kit.bash_run("echo first; yes 0123456789 | head -c 3000000; echo last")

    assert text.startswith("first\n")
    assert text.endswith("last\n")
    assert "bytes left out" in text
    assert len(text) < 5000


def test_a_script_gets_its_arguments_and_its_neighbours(
    kit: ResearchToolkit, workspace: Path
) -> None:
    kit.write_file("src/helper.py", "WORD = 'helped'\n")
    kit.write_file("src/main.py", "import sys, helper\nprint(sys.argv[1:], helper.WORD)\n")

    assert kit.python_run("src/main.py", "--epochs", "10", "a b") == (
        "['--epochs', '10', 'a b'] helped\n"
    )


def test_a_script_has_the_packages_of_the_guild(kit: ResearchToolkit) -> None:
    kit.write_file("versions.py", "import sys, tokenizers\nprint(sys.version_info[:2])\n")

    assert kit.python_run("versions.py") == f"{sys.version_info[:2]}\n"


def test_an_error_of_a_script_is_its_text(kit: ResearchToolkit) -> None:
    kit.write_file("-odd.py", "print('printed', flush=True)\nraise ValueError('odd')\n")

    text = kit.python_run("-odd.py")

    assert text.startswith("printed\nTraceback")
    assert text.endswith("ValueError: odd\n[exit code 1]\n")


def test_a_long_command_shows_its_latest_line(kit: ResearchToolkit, seen: list[Progress]) -> None:
    kit.bash_run("for i in 1 2 3 4; do echo epoch $i; sleep 0.3; done")

    assert [item.text for item in seen if item.text.startswith("epoch")]


@pytest.mark.parametrize(
    ("path", "error"), [("missing.py", WorkRefusedError), ("../run.py", OutsideWorkspaceError)]
)
def test_a_script_that_is_not_there_is_refused(
    kit: ResearchToolkit, path: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        kit.python_run(path)


def test_a_script_that_takes_too_much_memory_says_so(tmp_path: Path) -> None:
    with ResearchToolkit(workspace=tmp_path, memory_mb=256) as kit:
        kit.write_file("eat.py", "data = []\nwhile True: data.append(bytearray(2**24))\n")

        try:
            told = kit.python_run("eat.py")
        except WorkOverLimitError as error:  # whoever is first: Python, or the job's warden
            told = str(error)

    assert told.endswith(("MemoryError\n[exit code 1]\n", "past its memory limit"))


def test_the_own_environment_of_the_workspace_comes_first(tmp_path: Path) -> None:
    venv.create(tmp_path / ".venv", with_pip=False, symlinks=True)
    with ResearchToolkit(workspace=tmp_path) as kit:
        kit.write_file("where.py", "import sys; print(sys.prefix)\n")

        assert kit.python_run("where.py") == kit.bash_run("python where.py")
        assert kit.bash_run("echo $VIRTUAL_ENV").strip().endswith("/.venv")
        assert kit.python_run("where.py").strip().endswith("/.venv")
