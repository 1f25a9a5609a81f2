"""Talking to a guild that runs elsewhere: here, on the same embedded server."""

import signal
from pathlib import Path

import pytest

from guild.cli.commands import talk
from tests.cli.conftest import SPEC, Run, Start, until


def test_a_request_prints_the_answer_on_stdout_and_progress_on_stderr(
    run: Run, running: Path
) -> None:
    outcome = run("request", running, "crew.work", "count=3")

    assert outcome.code == 0
    assert outcome.out == '{\n  "count": 3\n}\n'
    assert outcome.err.splitlines() == [
        "working:  50% [half] way",
        "a word",
        "and another",
        'crew.half {"count":1}',
    ]


def test_an_answer_as_json_is_one_line_with_its_type(run: Run, running: Path) -> None:
    outcome = run("request", running, "Work", "count:=2", "--json")

    assert outcome.documents() == [{"type": "crew.worked", "data": {"count": 2}}]


@pytest.mark.parametrize("data", [['{"count": 4}'], ["@work.json"], ["-"], ["count=4"]])
def test_data_comes_as_words_json_a_file_or_stdin(
    run: Run, running: Path, tmp_path: Path, data: list[str]
) -> None:
    (tmp_path / "work.json").write_text('{"count": 4}')

    outcome = run("request", running, "crew.work", *data, "--json", stdin='{"count": 4}')

    assert outcome.documents()[0]["data"] == {"count": 4}


def test_a_request_that_is_answered_by_an_error_fails_with_1(run: Run, running: Path) -> None:
    outcome = run("request", running, "crew.break", "why=glass")

    assert (outcome.code, outcome.out) == (1, "")
    assert "worker answered with RuntimeError: broken: glass" in outcome.err
    show = outcome.err.partition("the traceback: guildbus ")[2].splitlines()[0]
    assert "RuntimeError: broken: glass" in run(*show.split()).out


def test_no_answer_in_time_is_6_and_says_how_to_stop_the_work(run: Run, running: Path) -> None:
    outcome = run("request", running, "crew.work", "is_endless=true", "--timeout", "0.2")

    assert outcome.code == 6
    command = outcome.err.partition("to stop that: guildbus ")[2].splitlines()[0]
    assert run(*command.split()).code == 0


def test_a_request_can_be_followed_by_its_id_from_its_start(run: Run, running: Path) -> None:
    asked = run("request", running, "crew.work", "is_endless=true", "--timeout", "0.2")
    command = asked.err.partition("to see it: guildbus ")[2].partition(";")[0].split()

    in_vain = run(*command, "--timeout", "0.5")
    assert (in_vain.code, in_vain.out) == (6, "")
    assert in_vain.err.splitlines()[:3] == ["working:  50% [half] way", "a word", "and another"]

    assert run("cancel", running, command[-1], "--reason", "enough").code == 0
    cancelled = run(*command, "--timeout", "10")
    assert (cancelled.code, cancelled.out) == (1, "")
    assert f"request {command[-1]} was cancelled: enough" in cancelled.err


def test_a_follow_that_ended_goes_on_behind_what_it_showed(run: Run, running: Path) -> None:
    asked = run("request", running, "crew.work", "is_endless=true", "--timeout", "0.2")
    command = asked.err.partition("to see it: guildbus ")[2].partition(";")[0].split()
    first = run(*command, "--timeout", "0.5")
    go_on = first.err.partition("behind what was shown: guildbus ")[2].splitlines()[0].split()

    again = run(*go_on, "--timeout", "0.5")

    assert go_on[: len(command)] == command
    assert again.code == 6
    assert "a word" in first.err
    assert "a word" not in again.err
    assert f"--after {go_on[-1]}" in again.err, "it can be gone on from there, too"
    odd = run(*command, "--after", "half way")
    assert (odd.code, odd.out) == (2, "")
    assert "--after wants a position that a follow has told" in odd.err
    run("cancel", running, command[-1])


def test_a_broken_request_is_followed_to_its_dead_letter(run: Run, running: Path) -> None:
    asked = run("request", running, "crew.break", "why=glass")
    letter = asked.err.partition("the traceback: guildbus ")[2].splitlines()[0].split()[-1]

    followed = run("follow", running, letter)

    assert (followed.code, followed.out) == (1, "")
    assert "worker answered with RuntimeError: broken: glass" in followed.err


def test_what_is_no_id_cannot_be_followed(run: Run, running: Path) -> None:
    outcome = run("follow", running, "mine")

    assert outcome.code == 2
    assert "a message id is 32 lower-case hex digits" in outcome.err


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["crew.wrok"], 3, "crew has no message 'crew.wrok'; did you mean 'crew.work'?"),
        (["crew.told", "count=1"], 1, "no handler of crew.told on 'jobs' answers"),
        (["zzz"], 3, "its agents handle crew.break, crew.told, crew.work"),
        (["crew.work", "count=x"], 3, "not a valid crew.work: count: Input should be a valid int"),
        (["crew.break"], 3, "not a valid crew.break: why: Field required"),
        (["crew.work", "cuont=1"], 3, "cuont: there is no such field; did you mean count?"),
        (["crew.work", "count"], 3, "'count' is neither key=text"),
        (["crew.work", "count:=}"], 3, "count is not JSON"),
        (["crew.work", "count:=" + "9" * 6_000], 3, "count is not JSON: number out of range"),
        (["crew.work", "count:=" + "[" * 100_000], 3, "nested deeper than 64 levels"),
        (["crew.break", "why=\udcff"], 3, "lone leading surrogate"),
        (["crew.break", 'why:="\udcff"'], 3, "why is not JSON"),
        (["crew.work", "@nowhere"], 3, "cannot read nowhere: No such file or directory"),
        (["crew.work", "--topic", "a b"], 3, "'a b' is not a topic"),
        (
            ["crew.work", "count=1", "--topic", "jbos"],
            1,
            "no agent on 'jbos' handles crew.work; it is handled by worker (jobs)",
        ),
        (["crew.work", "--timeout", "soon"], 2, "Invalid value for '--timeout'"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anything_is_sent(
    run: Run, running: Path, words: list[str], code: int, text: str
) -> None:
    outcome = run("request", running, *words)

    assert (outcome.code, outcome.out) == (code, "")
    assert text in outcome.err


def test_a_published_message_is_told_by_its_id(run: Run, running: Path) -> None:
    outcome = run("publish", running, "crew.work", "count=5")

    message_id = outcome.out.strip()
    assert (outcome.code, outcome.err) == (0, "")
    assert len(message_id) == 32
    tapped = run("tap", running, "jobs", "--from-start", "--count", "1", "--json").documents()[0]
    assert tapped["topic"] == "jobs"


def test_publishing_where_nobody_handles_it_warns(run: Run, running: Path) -> None:
    outcome = run("publish", running, "crew.work", "--topic", "elsewhere")

    assert outcome.code == 0
    assert "warning: nobody will get it: no agent on 'elsewhere' handles crew.work" in outcome.err


def test_a_reserved_topic_is_an_invalid_message(run: Run, running: Path) -> None:
    assert run("publish", running, "crew.work", "--topic", "_control").code == 3


def test_a_tap_shows_what_passes(run: Run, running: Path) -> None:
    message_id = run("publish", running, "crew.break", "why=tapped", "--topic", "aside").out.strip()

    as_json = run("tap", running, "aside", "--from-start", "--count", "1", "--json")
    as_text = run("tap", running, "aside", "--from-start", "--count", "1")

    assert as_json.documents()[0] | {"at": "", "conversation": ""} == {
        "topic": "aside",
        "id": message_id,
        "at": "",
        "type": "crew.break",
        "sender": "client",
        "cause": None,
        "conversation": "",
        "attempt": 1,
        "data": {"why": "tapped"},
    }
    assert as_text.out.endswith('aside client: crew.break {"why":"tapped"}\n')


def test_agents_are_listed_with_their_replicas_and_what_waits(run: Run, running: Path) -> None:
    rows = run("agents", running, "--json").documents()

    assert [(row["agent"], row["running"], row["waiting"]) for row in rows] == [("worker", 1, 0)]
    assert run("agents", running).out.splitlines()[1].split()[:3] == ["worker", "active", "1"]


def test_topics_are_listed_with_what_they_hold(run: Run, running: Path) -> None:
    run("publish", running, "crew.work", "--topic", "kept")

    rows = run("topics", running, "--json").documents()

    assert {"topic": "kept", "entries": 1, "waiting": {}, "oldest_s": {}} in rows


def test_a_request_to_a_guild_that_is_not_running_fails_at_once(run: Run, spec: Path) -> None:
    outcome = run("request", spec, "crew.work")

    assert outcome.code == 1
    assert "nothing was sent: worker is not running; start the guild first" in outcome.err
    assert f"guildbus run {spec}" in outcome.err


def test_publishing_before_the_first_start_warns_that_nobody_will_get_it(
    run: Run, spec: Path
) -> None:
    outcome = run("publish", spec, "crew.work")

    assert outcome.code == 0
    assert "warning: nobody will get it: worker is not running" in outcome.err


def test_a_guild_that_falls_silent_while_it_is_asked_is_told(
    run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    monkeypatch.setattr(talk, "SILENCE_S", 0.3)
    guild = start("run", spec)
    until(guild.stderr, "is running")
    assert run("request", spec, "crew.work").code == 0
    guild.send_signal(signal.SIGSTOP)

    outcome = run("request", spec, "crew.work", "--timeout", "1.5")

    assert outcome.code == 6
    assert "warning: nothing was heard of worker for 0.3 s" in outcome.err


def test_a_guild_that_was_killed_here_is_not_asked(run: Run, spec: Path, start: Start) -> None:
    """Its registration stays behind, and on this machine it can be seen that it is gone."""
    guild = start("run", spec)
    until(guild.stderr, "is running")
    guild.send_signal(signal.SIGKILL)
    guild.communicate()

    asked = run("request", spec, "crew.work")
    published = run("publish", spec, "crew.work")
    (worker,) = run("agents", spec, "--json").documents()

    assert asked.code == 1
    assert "nothing was sent: worker is not running; start the guild first" in asked.err
    assert published.code == 0
    assert "it waits for worker; start the guild" in published.err
    assert (worker["state"], worker["running"]) == ("not running", 0)


def test_publishing_to_a_guild_that_was_stopped_says_what_it_waits_for(
    run: Run, spec: Path, start: Start
) -> None:
    guild = start("run", spec)
    until(guild.stderr, "is running")
    guild.send_signal(signal.SIGTERM)
    guild.communicate()
    assert guild.returncode == 0

    outcome = run("publish", spec, "crew.work")

    assert outcome.code == 0
    assert "warning: it waits for worker; start the guild: guildbus run" in outcome.err
    assert run("agents", spec, "--json").documents()[0]["waiting"] == 1


@pytest.mark.parametrize("command", [["request", "crew.work"], ["tap"], ["agents"], ["topics"]])
def test_a_bus_inside_another_process_cannot_be_reached(
    run: Run, tmp_path: Path, command: list[str]
) -> None:
    path = tmp_path / "private.yaml"
    path.write_text(SPEC.format(bus="memory://"))

    outcome = run(command[0], path, *command[1:])

    assert outcome.code == 2
    assert "Add --bus embedded" in outcome.err
