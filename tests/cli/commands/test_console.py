"""`guildbus console` and `run --http`: a guild over HTTP, from elsewhere and beside it."""

import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from guild.gateway.tokens import add_token
from tests.cli.conftest import ROOT, Run, Start, until
from tests.servers import embedded_binary

ALLOWED = ("--allow", "tests.cli")
WORK = {"type": "crew.work", "data": {"count": 4}}


def url_of(process: subprocess.Popen[str], mark: str) -> str:
    line = until(process.stderr, mark)[-1]
    return line.rpartition(mark)[2].strip()


def test_a_console_serves_a_guild_that_runs_elsewhere(running: Path, start: Start) -> None:
    console = start("console", running, "--port", "0", *ALLOWED, cwd=ROOT)
    assert console.stdout is not None
    url = console.stdout.readline().strip()
    with httpx.Client(base_url=url) as http:
        told = http.get("api/v1/guild")
        answer = http.post("api/v1/topics/jobs/requests", json=WORK)
        ready = http.get("readyz")
    console.terminate()
    _, err = console.communicate()

    assert url.startswith("http://127.0.0.1:")
    assert url.endswith("/")
    assert told.json()["id"] == "crew"
    assert answer.json()["data"] == {"count": 4}
    assert ready.status_code == 200
    assert console.returncode == 0
    assert "console of crew; stop with Ctrl-C" in err
    assert "Traceback" not in err


def test_a_guild_serves_its_gateway_beside_itself(spec: Path, start: Start) -> None:
    guild = start("run", spec, "--http", "0", *ALLOWED, cwd=ROOT)
    with httpx.Client(base_url=url_of(guild, "console: ")) as http:
        answer = http.post("api/v1/topics/jobs/requests", json=WORK)
        with http.stream("GET", "api/v1/messages") as stream:
            guild.terminate()
            stream.read()
    _, err = guild.communicate()

    assert answer.json()["data"] == {"count": 4}
    assert guild.returncode == 0
    assert "Traceback" not in err


def test_while_it_drains_a_guild_is_not_ready(spec: Path, start: Start) -> None:
    spec.write_text(spec.read_text().replace("drain_s: 0.2", "drain_s: 30"))
    guild = start("run", spec, "--http", "0", *ALLOWED, cwd=ROOT)
    with httpx.Client(base_url=url_of(guild, "console: ")) as http:
        body = {"type": "crew.work", "data": {"is_endless": True}}
        headers = {"Accept": "text/event-stream"}
        with http.stream("POST", "api/v1/topics/jobs/requests", json=body, headers=headers) as it:
            lines = it.iter_lines()
            while "emitted" not in next(lines):
                pass
            place = f"api/v1/topics/jobs/{it.headers['Location']}/cancel"
            ready = http.get("readyz")
            guild.terminate()
            while (draining := http.get("readyz")).status_code == 200:
                pass
            cancelled = http.post(place, json={"reason": "enough"})
    _, err = guild.communicate()

    assert ready.status_code == 200
    assert draining.text == "the guild is draining\n"
    assert cancelled.status_code == 202
    assert guild.returncode == 0
    assert "Traceback" not in err


def test_tokens_that_are_given_are_asked_for(running: Path, start: Start, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    secret = add_token(file, "ada", ["read"])
    file.chmod(0o644)
    console = start("console", running, "--http", "0", "--tokens", file, *ALLOWED, cwd=ROOT)
    assert console.stdout is not None
    url = console.stdout.readline().strip()
    with httpx.Client(base_url=url) as http:
        stranger = http.get("api/v1/guild")
        told = http.get("api/v1/guild", headers={"Authorization": f"Bearer {secret}"})
    console.terminate()
    _, err = console.communicate()

    assert stranger.status_code == 401
    assert told.json()["caller"] == {"name": "ada", "scopes": ["read"]}
    assert f"chmod 600 {file}" in err


def test_a_guild_that_does_not_run_is_told(spec: Path, start: Start) -> None:
    console = start("console", spec, "--port", "0", *ALLOWED, cwd=ROOT)

    until(console.stderr, f"warning: no agent of crew is running; start: guildbus run {spec}")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["console", "hello"], 2, "guildbus run hello --http 8700"),
        (["console", "SPEC", "--host", "192.0.2.1"], 2, "give --certificate FILE, or --plain-http"),
        (
            ["console", "SPEC", "--host", "192.0.2.1", "--plain-http"],
            1,
            "nobody can listen on 192.0.2.1:8700",
        ),
        (["console", "SPEC", "--certificate", "none.pem"], 2, "none.pem cannot be used"),
        (["console", "SPEC", "--private-key", "k.pem"], 2, "of no use without --certificate"),
        (["console", "SPEC", "--tokens", "none"], 1, "cannot read the tokens in none"),
        (["console", "SPEC", "--port", "TAKEN"], 1, "in use; choose another port"),
        (["console", "SPEC", "--http", "TAKEN"], 1, "in use; choose another port"),
        (["console", "SPEC", "--http", "x"], 2, "--http wants [HOST:]PORT"),
        (["console", "SPEC", "--http", "1", "--port", "1"], 2, "--http HOST:PORT says what"),
        (["run", "SPEC", "--http", "x"], 2, "--http wants [HOST:]PORT"),
        (["run", "SPEC", "--http", "70000"], 2, "--http wants [HOST:]PORT"),
        (["run", "SPEC", "--http", "TAKEN"], 1, "in use; choose another port"),
        (["run", "SPEC", "--http", "192.0.2.1:1"], 2, "give --certificate FILE, or --plain-http"),
        (["run", "SPEC", "--tokens", "x"], 2, "of no use without --http PORT"),
        (
            ["run", "SPEC", "--http", "0", "--request", "crew.work"],
            2,
            "--http serves a guild that runs on",
        ),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else None,
)
def test_what_cannot_be_served_is_a_sentence_and_a_status(
    run: Run, spec: Path, words: list[str], code: int, said: str
) -> None:
    embedded_binary()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        stands_for = {"SPEC": str(spec), "TAKEN": str(taken.getsockname()[1])}
        outcome = run(*(stands_for.get(word, word) for word in words))

    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def test_without_the_extra_it_is_named(
    run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    outcome = run("console", spec)

    assert outcome.code == 4
    assert "pip install 'guildbus[web]'" in outcome.err
