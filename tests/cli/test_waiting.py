"""Commands that are given before there is anything to talk to, or about what is not there."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, SPEC, Run, Start, until
from tests.servers import RedisServer, redis_binary

ALLOW = ("--allow", "tests.cli")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that nobody has started."""
    server = RedisServer(redis_binary(), tmp_path)
    yield server
    server.stop()


@pytest.fixture
def early(server: RedisServer, tmp_path: Path) -> Path:
    """The spec of a crew on it."""
    path = tmp_path / "crew.yaml"
    path.write_text(SPEC.format(bus=server.url))
    return path


def test_run_waits_for_its_server_when_told_to(
    server: RedisServer, early: Path, start: Start
) -> None:
    guild = start("run", early, *ALLOW, "--wait", "60", cwd=ROOT)
    (told,) = until(guild.stderr, "no server answers")
    server.start()

    assert "bus.awaited" in told
    assert until(guild.stderr, "is running")


def test_a_request_waits_for_the_server_and_then_for_the_guild(
    server: RedisServer, early: Path, start: Start
) -> None:
    asking = start("request", early, "crew.work", "count=3", *ALLOW, "--wait", "60", cwd=ROOT)
    until(asking.stderr, "no server answers")
    server.start()
    until(asking.stderr, "waiting: worker is not running")
    start("run", early, *ALLOW, cwd=ROOT)

    out, _ = asking.communicate()
    assert (asking.returncode, out) == (0, '{\n  "count": 3\n}\n')


@pytest.mark.parametrize(
    "words", [["run"], ["request", "crew.work"], ["publish", "crew.work"], ["doctor"]]
)
def test_what_is_not_there_in_time_ends_as_if_nobody_had_waited(
    run: Run, early: Path, words: list[str]
) -> None:
    outcome = run(words[0], early, *words[1:], "--wait", "0.3")

    assert outcome.code == (1 if words == ["doctor"] else 5)
    assert "after 0.3 s still: no server answers" in outcome.err + outcome.out


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("jbos", "warning: crew has no topic jbos: nobody listens to it and nothing was published"),
        ("jbos", "did you mean 'jobs'?"),
        ("nowhere.at.all", "there are: guild.events, inbox.worker, jobs"),
        ("jbos.*", "warning: crew has no topic jbos.*"),
        ("jobs", "nothing was published to jobs yet; it is waited for"),
        ("inbox.*", "nothing was published to inbox.* yet; it is waited for"),
    ],
)
def test_tapping_what_is_silent_says_so_and_waits(
    start: Start, spec: Path, pattern: str, said: str
) -> None:
    tap = start("tap", spec, pattern, *ALLOW, cwd=ROOT)

    lines = until(tap.stderr, "stop with Ctrl-C")

    assert said in "".join(lines)
    with pytest.raises(subprocess.TimeoutExpired):
        tap.wait(0.2)


def test_tapping_what_there_is_says_no_more_than_before(run: Run, running: Path) -> None:
    run("request", running, "crew.work")
    outcome = run("tap", running, "jobs", "guild.events", "--from-start", "--count", "1", "--json")

    assert outcome.err.splitlines() == ["tapping jobs, guild.events of crew; stop with Ctrl-C"]


def test_a_pattern_that_can_fit_nothing_is_refused(run: Run, running: Path) -> None:
    outcome = run("tap", running, "jobs..x")

    assert (outcome.code, "is not a topic" in outcome.err) == (3, True)
