"""What an agent gave up on: listed, shown, handed over again, dropped."""

import asyncio
import os
import pwd
import time
from pathlib import Path
from typing import Any

import pytest

from messaging.backend import DeadLetter, Settlement
from messaging.backends.redis.connection.embedded import EmbeddedServer
from messaging.backends.urls import open_backend
from messaging.handling.failure_record import Reason
from messaging.wire.message import encode
from tests.cli.conftest import Run
from tests.messaging.notes import joined, notes, take


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


def test_an_error_of_many_lines_takes_one_in_a_table_and_is_whole_elsewhere(
    run: Run, running: Path, letter: Any
) -> None:
    run("dead-letters", "drop", running, letter["id"], "--reason", "in the way")
    why = "one\ntwo " + "x" * 500
    run("request", running, "crew.break", f"why={why}")

    (row,) = run("dead-letters", "list", running, "--json").documents()
    head, *lines = run("dead-letters", "list", running).out.splitlines()

    assert row["error"] == f"RuntimeError: broken: {why}"
    assert len(lines) == 1
    assert lines[0].startswith(row["id"])
    assert "RuntimeError: broken: one two xxx" in lines[0]
    assert len(lines[0]) < head.index("error") + 300
    assert why in run("dead-letters", "show", running, row["id"]).out


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


def test_letters_are_counted_by_what_they_have_in_common(
    run: Run, running: Path, letter: Any
) -> None:
    (kind,) = run("dead-letters", "summary", running, "--by", "error,agent", "--json").documents()

    assert {name: kind[name] for name in ("letters", "error", "agent")} == {
        "letters": 1,
        "error": "RuntimeError",
        "agent": "worker",
    }
    assert "type" not in kind
    table = run("dead-letters", "summary", running).out.splitlines()
    assert table[0].split() == ["letters", "type", "error", "agent", "first_at", "last_at"]
    assert table[1].split()[:4] == ["1", "crew.break", "RuntimeError", "worker"]
    assert run("dead-letters", "summary", running, "--by", "colour").code == 2


@pytest.mark.parametrize(
    ("option", "value"), [("--agent", "nobody"), ("--type", "crew.work"), ("--error", "KeyError")]
)
def test_letters_are_listed_by_what_they_have_in_common(
    run: Run, running: Path, letter: Any, option: str, value: str
) -> None:
    same = {"--agent": "worker", "--type": "crew.break", "--error": "RuntimeError"}[option]

    assert run("dead-letters", "list", running, option, value, "--json").documents() == []
    assert run("dead-letters", "list", running, option, same, "--json").documents() == [letter]


def test_an_edited_letter_tells_so_when_it_dies_again(run: Run, running: Path, letter: Any) -> None:
    assert run("dead-letters", "requeue", running, letter["id"], "--edit", "why=clay").code == 0

    again = _next_letter(run, running, letter)
    (document,) = run("dead-letters", "show", running, again, "--json").documents()
    assert document["payload"] == {"why": "clay"}
    assert document["message"] == letter["message"]
    assert document["error"] == "RuntimeError: broken: clay"
    attempts = document["reason"]["attempts"]
    assert [attempt["error_type"] for attempt in attempts] == [
        "RuntimeError",
        "requeued",
        "RuntimeError",
    ]
    assert attempts[1]["text"].endswith("edited: why")
    assert "attempt  - requeued: by " in run("dead-letters", "show", running, again).out


def test_a_letter_gets_all_its_fields_from_a_file(
    run: Run, running: Path, letter: Any, tmp_path: Path
) -> None:
    file = tmp_path / "break.json"
    file.write_text('{"why": "steel"}')

    assert run("dead-letters", "requeue", running, letter["id"], "--edit", f"@{file}").code == 0

    again = _next_letter(run, running, letter)
    (document,) = run("dead-letters", "show", running, again, "--json").documents()
    assert document["payload"] == {"why": "steel"}


@pytest.mark.parametrize(
    ("edit", "says"),
    [("colour=red", "colour"), ("why:=3", "why"), ("[1]", "neither"), ("@/no/such", "cannot read")],
)
def test_an_edit_that_does_not_fit_leaves_the_letter_where_it_is(
    run: Run, running: Path, letter: Any, edit: str, says: str
) -> None:
    outcome = run("dead-letters", "requeue", running, letter["id"], "--edit", edit)

    assert outcome.code == 3
    assert says in outcome.err
    assert run("dead-letters", "list", running, "--json").documents() == [letter]


def test_many_are_requeued_only_when_it_is_said_so(run: Run, running: Path, letter: Any) -> None:
    told = run("dead-letters", "requeue-all", running, "--error", "RuntimeError", "--json")
    assert told.documents() == [letter]
    assert "--yes" in told.err
    assert run("dead-letters", "list", running, "--json").documents() == [letter]

    done = run("dead-letters", "requeue-all", running, "--error", "RuntimeError", "--yes", "--json")

    assert done.documents() == [letter]
    assert "requeued 1 dead letters" in done.err
    assert _next_letter(run, running, letter) != letter["id"]


def test_many_are_dropped_only_when_it_is_said_so(run: Run, running: Path, letter: Any) -> None:
    words = ("dead-letters", "drop-all", running, "--error", "RuntimeError", "--json")
    assert "--reason is empty" in run(*words, "--reason", " ", "--yes").err
    told = run(*words, "--reason", "of no use")
    assert told.documents() == [letter]
    assert "to drop these 1, add --yes" in told.err
    assert run("dead-letters", "list", running, "--json").documents() == [letter]

    done = run(*words, "--reason", "of no use", "--yes")

    assert done.documents() == [letter]
    assert "dropped 1 dead letters" in done.err
    assert run("dead-letters", "list", running, "--json").documents() == []


def test_the_reason_of_a_drop_is_kept_on_the_events(run: Run, running: Path, letter: Any) -> None:
    run("dead-letters", "drop", running, letter["id"], "--reason", "seen by Ada")

    (count,) = [
        str(row["entries"])
        for row in run("topics", running, "--json").documents()
        if row["topic"] == "guild.events"
    ]
    events = run("tap", running, "guild.events", "--from-start", "--json", "--count", count)
    dropped, operated = [event for event in events.documents() if "seen by Ada" in str(event)]
    assert dropped["data"]["letter_id"] == operated["data"]["target"] == letter["id"]
    user = pwd.getpwuid(os.getuid()).pw_name
    assert dropped["data"]["by"] == operated["data"]["by"] == user
    assert operated["type"] == "guild.operated"


def test_thousands_are_listed_whole_or_page_by_page(run: Run, spec: Path, tmp_path: Path) -> None:
    count = 2_500
    server = EmbeddedServer(tmp_path / "bus")
    server.start()
    try:
        asyncio.run(_bury(f"embedded:{tmp_path / 'bus'}", count))

        table = run("dead-letters", "list", spec).out.splitlines()
        listed = run("dead-letters", "list", spec, "--json").documents()
        pages, after = [], "0-0"
        while page := run(
            "dead-letters", "list", spec, "--json", "--count", "1000", "--after", after
        ).documents():
            pages.append(page)
            after = page[-1]["id"]
        first = run("dead-letters", "list", spec, "--count", "1")
        (counted,) = run("dead-letters", "summary", spec, "--by", "agent", "--json").documents()
    finally:
        server.stop()

    assert len(table) == count + 1
    assert [row["id"] for row in listed] == [line.split()[0] for line in table[1:]]
    assert [len(page) for page in pages] == [1000, 1000, 500]
    assert [row for page in pages for row in page] == listed
    assert [line.split() for line in first.out.splitlines()] == [line.split() for line in table[:2]]
    assert f"--after {listed[0]['id']}" in first.err
    assert counted["letters"] == count


def test_an_id_that_is_none_is_no_page(run: Run, running: Path) -> None:
    outcome = run("dead-letters", "list", running, "--after", "the first")

    assert outcome.code == 2
    assert "the first" in outcome.err


async def _bury(url: str, count: int) -> None:
    """Let the crew's worker have given up on so many messages."""
    backend = open_backend(url, "crew")
    await backend.open()
    worker = await joined(backend, "worker", "jobs")
    await backend.append(notes(count, "jobs"))
    reason = encode(Reason(error_type="E", text="t", traceback="", agent="worker", attempts=()))
    letters = [
        Settlement(job, dead=DeadLetter(job.envelope, "worker", reason, at=1.0))
        for job in await take(worker, count)
    ]
    await worker.commit(letters)
    await worker.leave(())
    await backend.close()


def _next_letter(run: Run, running: Path, letter: Any) -> str:
    """The id of the letter that the same message became when it died again."""
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        rows = run("dead-letters", "list", running, "--json").documents()
        ids = [row["id"] for row in rows if row["message"] == letter["message"]]
        if ids and ids != [letter["id"]]:
            return str(ids[0])
    pytest.fail("the message did not die again")
