"""Replaying a topic from the command line."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_a_replay_is_counted_first_and_done_when_told(run: Run, running: Path) -> None:
    run("pause", running, "worker")
    run("publish", running, "crew.work")
    words = ("replay", running, "jobs", "--agent", "worker")

    dry = run(*words, "--json")
    assert dry.documents() == [{"type": "crew.work", "messages": 1, "to": "worker"}]
    assert "add --really" in dry.err
    done = run(*words, "--from", "2020-01-01", "--really")

    assert (done.code, "replayed 1 of jobs to worker" in done.err) == (0, True)
    (row,) = run("agents", running, "--json").documents()
    assert row["waiting"] == 2
    empty = run(*words, "--from", "2999-01-01T00:00Z", "--really")
    assert "holds nothing of that time" in empty.err
    run("resume", running, "worker")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["jobs", "--agent", "wroker"], "did you mean 'worker'?"),
        (["jobs", "--agent", "worker", "--from", "yesterday"], "write a time such as"),
    ],
)
def test_a_replay_that_cannot_be_meant_is_refused(
    run: Run, spec: Path, words: list[str], said: str
) -> None:
    outcome = run("replay", spec, *words)

    assert outcome.code == 2
    assert said in outcome.err
