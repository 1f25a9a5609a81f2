"""What commands say where nothing happened, or not what was meant: never silence."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from guild.cli.commands.agents import MANY
from tests.cli.conftest import ROOT, SPEC, Run, Start, until
from tests.servers import running_redis

ID = "0" * 32


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def idle(bus: str, tmp_path: Path) -> Path:
    """The spec of a crew that nobody runs."""
    path = tmp_path / "crew.yaml"
    path.write_text(SPEC.format(bus=bus).replace("id: crew", f"id: crew-{tmp_path.name}"))
    return path


def test_agents_that_nobody_runs_are_not_called_active(run: Run, idle: Path) -> None:
    listed = run("agents", idle, "--json")

    (row,) = listed.documents()
    assert (row["state"], row["running"]) == ("not running", 0)
    assert f"nobody runs worker; start: guildbus run {idle}" in listed.err


def test_a_table_of_many_agents_ends_with_their_sum(run: Run, idle: Path) -> None:
    more = "".join(f"  - {{id: agent-{n}, type: 'tests.cli.crew:Worker'}}\n" for n in range(MANY))
    idle.write_text(idle.read_text() + more)

    listed = run("agents", idle)

    assert len(listed.out.splitlines()) == MANY + 2
    assert f"{MANY + 1} agents: {MANY + 1} not running; 0 messages wait" in listed.err
    assert f"agent-{MANY - 2} and 1 more; start:" in listed.err


def test_what_is_sent_to_a_paused_agent_names_the_pause_and_not_the_start(
    run: Run, running: Path
) -> None:
    run("pause", running, "worker")
    asked = run("request", running, "crew.work")
    published = run("publish", running, "crew.work")
    run("resume", running, "worker")

    remedy = f"worker is paused; go on with: guildbus resume {running} worker"
    assert (asked.code, f"nothing was sent: {remedy}" in asked.err) == (1, True)
    assert (published.code, f"warning: it waits: {remedy}" in published.err) == (0, True)
    assert "guildbus run" not in asked.err + published.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["resume", "worker"], 0, "worker was not paused"),
        (["cancel", "nonsense"], 2, "a message id is 32 lower-case hex digits"),
        (["cancel", ID], 0, "warning: no agent is running that could be told"),
        (["replay", "jbos", "--agent", "worker"], 1, "worker is not subscribed"),
        (["dead-letters", "summary"], 0, "no dead letters"),
    ],
)
def test_a_command_without_effect_says_so(
    run: Run, idle: Path, words: list[str], code: int, said: str
) -> None:
    at = 2 if words[0] == "dead-letters" else 1
    outcome = run(*words[:at], idle, *words[at:])

    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "--agent", "wroker"], "no agent of the spec; did you mean 'worker'?"),
        (["summary", "--agent", "wroker"], "no agent of the spec; did you mean 'worker'?"),
        (["requeue-all", "--agent", "zzz", "--yes"], "of zzz, which is no agent of the spec"),
    ],
)
def test_dead_letters_of_an_agent_that_is_not_there_are_not_just_none(
    run: Run, idle: Path, words: list[str], said: str
) -> None:
    outcome = run("dead-letters", words[0], idle, *words[1:])

    assert (outcome.code, said in outcome.err) == (0, True)


def test_replaying_a_topic_that_is_not_there_says_what_was_meant(run: Run, running: Path) -> None:
    run("request", running, "crew.work")

    assert (
        "no topic jbos; did you mean 'jobs'?"
        in run("replay", running, "jbos", "--agent", "worker").err
    )


def test_a_guild_that_ends_degraded_says_which_agent_was_down(start: Start, idle: Path) -> None:
    crash = (
        idle.read_text()
        .replace("crew:Worker", "crew:Crasher")
        .replace("retry: {attempts: 1}", "restart: {intensity: 0}")
    )
    idle.write_text(crash)
    guild = start("run", idle, "--allow", "tests.cli", cwd=ROOT)
    until(guild.stderr, "is running")

    guild.terminate()
    _, said = guild.communicate()

    assert guild.returncode == 1
    assert "worker was down for good: RuntimeError: cannot start" in said


def test_asking_while_running_names_the_dead_letter(run: Run, idle: Path) -> None:
    outcome = run("run", idle, "--request", "crew.break", "why=glass")

    assert outcome.code == 1
    assert f"guildbus dead-letters show {idle} " in outcome.err
