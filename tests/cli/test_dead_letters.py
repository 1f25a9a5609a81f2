"""What an agent gave up on: listed, shown, handed over again, dropped."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def letter(run: Run, running: Path) -> Any:
    """The one dead letter there is."""
    for row in run("dead-letters", "list", running, "--json").documents():
        run("dead-letters", "drop", running, row["id"], "--reason", "an earlier test")
    assert run("request", running, "crew.break", "why=glass").code == 1
    (row,) = run("dead-letters", "list", running, "--json").documents()
    return row


def test_the_list_names_agent_topic_type_and_error(run: Run, running: Path, letter: Any) -> None:
    assert letter["agent"] == "worker"
    assert letter["topic"] == "jobs"
    assert letter["type"] == "crew.break"
    assert letter["error"] == "RuntimeError: broken: glass"
    table = run("dead-letters", "list", running).out.splitlines()
    assert table[0].split() == ["id", "at", "agent", "topic", "type", "error"]
    assert table[1].startswith(letter["id"])
    assert "RuntimeError: broken: glass" in table[1]


def test_a_letter_is_shown_with_payload_attempts_and_traceback(
    run: Run, running: Path, letter: Any
) -> None:
    shown = run("dead-letters", "show", running, letter["id"])

    assert shown.code == 0
    assert 'payload  {"why": "glass"}' in shown.out
    assert "attempt  1 RuntimeError: broken: glass" in shown.out
    assert 'raise RuntimeError(f"broken: {request.why}")' in shown.out


def test_a_letter_is_found_by_the_id_of_its_message_too(
    run: Run, running: Path, letter: Any
) -> None:
    (document,) = run("dead-letters", "show", running, letter["message"], "--json").documents()

    assert document["id"] == letter["id"]
    assert document["payload"] == {"why": "glass"}
    assert document["reason"]["attempts"][0]["number"] == 1


def test_a_requeued_letter_is_tried_again(run: Run, running: Path, letter: Any) -> None:
    assert run("dead-letters", "requeue", running, letter["id"]).code == 0

    died = run("tap", running, "guild.events", "--from-start", "--json", "--count", "2")
    assert "guild.dead_lettered" in died.out
    assert run("dead-letters", "show", running, letter["id"]).code == 1


def test_a_dropped_letter_is_gone(run: Run, running: Path, letter: Any) -> None:
    assert run("dead-letters", "drop", running, letter["id"], "--reason", "seen").code == 0

    outcome = run("dead-letters", "list", running)
    assert (outcome.out, outcome.err) == ("", "no dead letters\n")


@pytest.mark.parametrize("words", [["show"], ["requeue"], ["drop", "--reason", "x"]])
def test_a_letter_that_is_not_there_fails_and_says_where_to_look(
    run: Run, running: Path, words: list[str]
) -> None:
    command, *options = words
    outcome = run("dead-letters", command, running, "nothing", *options)

    assert outcome.code == 1
    assert f"guildbus dead-letters list {running}" in outcome.err


def test_dropping_needs_a_reason(run: Run, running: Path) -> None:
    assert run("dead-letters", "drop", running, "nothing").code == 2
