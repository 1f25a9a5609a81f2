"""Words that parse and yet make no sense: refused with a status and a sentence."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run

CASES = [
    (["publish", "crew.work", "--delay", "inf"], 2, "--delay wants a number of seconds"),
    (["publish", "crew.work", "--delay", "1e30"], 2, "over by the year 9999, not 1e+30"),
    (["publish", "crew.work", "--topic", ""], 3, "a topic has 1 to 200 characters"),
    (["publish", "crew.work", "count=1", "count=2"], 3, "count is given twice"),
    (["publish", "crew.work", "--bus", ""], 2, "--bus is empty"),
    (["request", "crew.work", "--topic", ""], 3, "a topic has 1 to 200 characters"),
    (["agents", "--bus", "redis://[::1"], 5, "the URL of the bus cannot be read"),
    (
        ["replay", "jobs", "--agent", "worker", "--from", "2030-01-02", "--to", "2030-01-01"],
        2,
        "no",
    ),
    (["acl", "--file", "/nowhere/users.acl"], 2, "cannot write the ACL file"),
    (["acl", "--user", "a b"], 2, "'a b' cannot be the user of a guild"),
    (["dead-letters list", "--after", "9" * 23 + "-0"], 2, "--after wants the id of a dead letter"),
    (["dead-letters summary", "--by", ""], 2, "not by ''"),
    (["conversation", ""], 2, "the id of the conversation is empty"),
    (["dead-letters drop", "1-0", "--reason", " "], 2, "--reason is empty"),
]


@pytest.mark.parametrize(("words", "code", "said"), CASES, ids=lambda value: str(value)[:50])
def test_words_without_sense_are_refused(
    run: Run, running: Path, words: list[str], code: int, said: str
) -> None:
    outcome = run(*words[0].split(), running, *words[1:])

    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err


def test_a_url_that_cannot_be_read_is_a_finding_and_shows_no_password(run: Run) -> None:
    outcome = run("doctor", "--bus", "redis://user:secret@[::1")

    assert outcome.code == 1
    assert "the URL of the bus cannot be read" in outcome.out
    assert "secret" not in outcome.out + outcome.err


def test_kinds_may_be_parted_by_a_comma_and_a_space(run: Run, running: Path) -> None:
    assert run("dead-letters", "summary", running, "--by", "type, error").code == 0


@pytest.mark.parametrize("topic", ["a b", "jobs..x", ""])
def test_a_topic_that_cannot_be_is_refused_before_it_is_waited_for(
    run: Run, running: Path, topic: str
) -> None:
    outcome = run("tap", running, topic)

    assert outcome.code == 3
    assert "waited for" not in outcome.err
