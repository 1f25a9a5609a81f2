"""Pausing, draining and resuming an agent from the command line."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run


def state(run: Run, spec: Path) -> tuple[str, int, int]:
    (row,) = run("agents", spec, "--json").documents()
    return row["state"], row["waiting"], row["in_hand"]


def test_an_agent_is_drained_keeps_what_comes_and_goes_on(run: Run, running: Path) -> None:
    assert state(run, running) == ("active", 0, 0)

    drained = run("drain", running, "worker")
    run("publish", running, "crew.work")

    assert (drained.code, drained.out) == (0, "")
    assert f"guildbus resume {running} worker" in drained.err
    assert state(run, running) == ("paused", 1, 0)

    assert run("resume", running, "worker").code == 0
    assert run("request", running, "crew.work").code == 0
    assert state(run, running)[0] == "active"


def test_topics_are_listed_with_the_age_of_what_waits_longest(run: Run, running: Path) -> None:
    run("drain", running, "worker")
    run("publish", running, "crew.work", "--topic", "jobs")

    rows = run("topics", running, "--json").documents()
    (jobs,) = [row for row in rows if row["topic"] == "jobs"]
    head, *lines = run("topics", running).out.splitlines()
    (line,) = [line.split() for line in lines if line.startswith("jobs ")]

    assert list(jobs["oldest_s"]) == ["worker"]
    assert 0.0 <= jobs["oldest_s"]["worker"] < 600.0
    assert head.split() == ["topic", "entries", "waiting", "oldest_s"]
    assert line[2:5] == ["worker:", "1", "worker:"]
    assert float(line[5]) >= jobs["oldest_s"]["worker"]
    run("resume", running, "worker")
    assert run("request", running, "crew.work").code == 0


def test_a_drain_that_takes_too_long_says_what_is_left_and_leaves_it_running(
    run: Run, running: Path
) -> None:
    endless = run("publish", running, "crew.work", "is_endless:=true").out.strip()

    drained = run("drain", running, "worker", "--timeout", "0.5")

    assert drained.code == 6
    assert "it still has 1 in hand" in drained.err
    run("cancel", running, endless)
    assert run("drain", running, "worker").code == 0
    run("resume", running, "worker")


def test_an_agent_can_be_paused_before_anybody_runs_it(run: Run, spec: Path) -> None:
    assert run("pause", spec, "worker").code == 0
    assert state(run, spec)[0] == "paused"


@pytest.mark.parametrize("command", ["pause", "resume", "drain"])
def test_an_agent_that_is_not_there_is_told(run: Run, spec: Path, command: str) -> None:
    outcome = run(command, spec, "wroker")

    assert outcome.code == 2
    assert "'crew' has no agent 'wroker'; did you mean 'worker'?" in outcome.err
