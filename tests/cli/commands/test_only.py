"""`guildbus run --only`: processes that run a part of a guild each."""

from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, SPEC, Run, Start, until

OTHER = """
  - id: breaker
    type: tests.cli.crew:Worker
    topics: [breakages]
"""


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """The spec of a crew of two."""
    path = tmp_path / "two.yaml"
    path.write_text(SPEC.format(bus=f"embedded:{tmp_path / 'bus'}") + OTHER.lstrip("\n"))
    return path


def test_a_process_runs_its_part_and_says_what_it_leaves_to_others(
    run: Run, start: Start, two: Path
) -> None:
    guild = start("run", two, "--only", "worker", "--allow", "tests.cli", cwd=ROOT)

    said = "".join(until(guild.stderr, "left to other processes"))

    assert "is running on" in said
    assert said.splitlines()[-1] == "left to other processes: breaker"
    rows = {row["agent"]: row["running"] for row in run("agents", two, "--json").documents()}
    assert rows == {"worker": 1, "breaker": 0}
    assert run("request", two, "crew.work", "--topic", "jobs").code == 0
    published = run("publish", two, "crew.work", "--topic", "breakages")
    assert "it waits for breaker; start the guild" in published.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "wroker"], "'crew' has no agent 'wroker'; did you mean 'worker'?"),
        (["--only", "worker, wroker"], "did you mean 'worker'?"),
        (["--only", ","], "--only names no agent"),
        (
            [
                "--only",
                "breaker",
                "--bus",
                "memory://",
                "--request",
                "crew.work",
                "--topic",
                "jobs",
            ],
            "nothing would answer: worker handles it",
        ),
    ],
)
def test_a_part_that_cannot_be_meant_is_refused(
    run: Run, two: Path, words: list[str], said: str
) -> None:
    outcome = run("run", two, *words)

    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err


def test_a_part_of_a_guild_that_nobody_can_reach_is_warned_of(start: Start, two: Path) -> None:
    words = ("--only", "worker", "--only", "worker", "--bus", "memory://")
    guild = start("run", two, *words, "--allow", "tests.cli", cwd=ROOT)

    assert "warning: so nobody can run breaker" in until(guild.stderr, "so nobody")[-1]
