"""One conversation, and what agents do at this moment, on a terminal."""

import json
from pathlib import Path
from typing import Any

from tests.cli.conftest import Run, Start, until

UNKNOWN = "0" * 32


def test_a_conversation_that_failed_is_shown_with_where_to_look(run: Run, running: Path) -> None:
    failed = run("request", running, "crew.break", "why=glass")
    letter_id = failed.err.partition("dead-letters show ")[2].split()[1]
    (letter,) = [
        row
        for row in run("dead-letters", "list", running, "--json").documents()
        if row["message"] == letter_id
    ]

    shown = run("conversation", running, letter_id)
    (step, *_) = run("conversation", running, letter_id, "--json").documents()

    head, agent, *_ = shown.out.splitlines()
    assert f"crew.break {letter_id} on jobs by client: failed" in head
    assert agent == "    worker failed, 1 attempt: RuntimeError: broken: glass"
    assert (
        f"the first step that failed is {letter_id}; see: guildbus dead-letters show" in shown.err
    )
    assert shown.err.split()[-1] == letter["id"]
    assert step["agents"][0]["letter_id"] == letter["id"]
    assert step["data"] == {"why": "glass"}


def test_what_follows_stands_below_its_cause(run: Run, running: Path) -> None:
    """The answer of a request is there under the id of the request."""
    failed = run("request", running, "crew.break", "why=glass")
    letter_id = failed.err.partition("dead-letters show ")[2].split()[1]

    lines = run("conversation", running, letter_id).out.splitlines()

    assert any(line.startswith("  ") and "bus.request_failed" in line for line in lines)


def test_a_conversation_that_nothing_is_known_of_fails_and_says_what_is_kept(
    run: Run, running: Path
) -> None:
    shown = run("conversation", running, UNKNOWN)

    assert (shown.code, shown.out) == (1, "")
    assert f"nothing is known of {UNKNOWN}" in shown.err
    assert "keep_settled_s" in shown.err


def test_what_agents_handle_is_watched(run: Run, running: Path, start: Start) -> None:
    watching = start("live", running, "--count", "1", "--json")
    assert watching.stdout is not None
    assert watching.stderr is not None
    until(watching.stderr, "watching crew")
    rows: list[Any] = []
    while watching.poll() is None:
        run("request", running, "crew.work", "count=1")
    rows = [json.loads(line) for line in watching.stdout]

    assert watching.returncode == 0
    assert [(row["agent"], row["type"], row["outcome"]) for row in rows] == [
        ("worker", "crew.work", "handled")
    ]


def test_watching_ends_after_its_time(run: Run, running: Path) -> None:
    assert run("live", running, "--timeout", "0.3").code == 0

    missed = run("live", running, "--timeout", "0.3", "--count", "1000")
    assert missed.code == 6
    assert "fewer than 1000 handlings ended in 0.3 s" in missed.err
