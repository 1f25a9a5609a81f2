"""`guildbus serve`: a spec's models for the `openai` client, from a process of their own."""

import asyncio
import contextlib
import importlib.util
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from agents.llm.commands.serve_command import serve_spec
from agents.llm.commands.served_spec import idle_unload_s, served_models
from guild.checking.loader import load_yaml
from guild.checking.plan import Plan
from guild.cli.calling.call import Call
from guild.cli.commands.http import Http
from guild.cli.syntax.options import Common
from guild.gateway import exposure
from tests.cli.conftest import Run, until
from tests.llm.commands.served import SCRIPTED, serving
from tests.reliability.workers.patience import stretched

SPEC = """
id: served
bus: redis://nobody.invalid:1/0
resources:
  models: {{type: llm.models, properties: {{idle_unload_s: 900}}}}
agents:
  - id: chat
    type: llm.chat
    properties:
      model: {model}
      backend: llamacpp
      do_sample: false
      max_new_tokens: 12
      max_active: 2
      options: {{threads: 1}}
  - id: say
    type: llm.chat
    properties: {{model: script, backend: scripted, options: {{replies: [hello, again]}}}}
  - id: greeter
    type: hello.greeter
"""
CAPITAL = [{"role": "user", "content": "What is the capital of Japan?"}]
STORY = [{"role": "user", "content": "Tell me a long story about a fox."}]


@pytest.fixture(scope="module")
def server(
    smollm2: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    spec = tmp_path_factory.mktemp("served") / "spec.yaml"
    spec.write_text(SPEC.format(model="smollm2"))
    process, url = serving(spec)
    with process:
        yield process, url
        process.kill()


@pytest.fixture
def client(server: tuple[subprocess.Popen[str], str]) -> Iterator[Any]:
    with openai.OpenAI(base_url=server[1], api_key="unused", max_retries=0) as client:
        yield client


def test_models_go_by_their_agents_ids_and_by_their_own_names(client: Any) -> None:
    assert [model.id for model in client.models.list()] == ["chat", "smollm2", "say", "script"]


def test_the_real_model_answers_by_either_name(client: Any) -> None:
    for name in ("chat", "smollm2"):
        chat = client.chat.completions.create(model=name, messages=CAPITAL)
        assert chat.choices[0].message.content == "The capital of Japan is Tokyo."


def test_what_the_spec_says_holds_where_a_request_does_not_say(client: Any) -> None:
    as_spec = client.chat.completions.create(model="chat", messages=STORY)
    as_asked = client.chat.completions.create(model="chat", messages=STORY, max_tokens=3)
    by_new_name = client.chat.completions.create(
        model="chat", messages=STORY, max_completion_tokens=14
    )

    assert as_spec.usage.completion_tokens == 12
    assert as_asked.usage.completion_tokens == 3
    assert by_new_name.usage.completion_tokens == 14
    assert by_new_name.choices[0].message.content.startswith(as_spec.choices[0].message.content)


def test_an_unknown_model_is_told_to_the_client(client: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt-4o'"):
        client.chat.completions.create(model="gpt-4o", messages=CAPITAL)


def test_a_signal_lets_the_answers_in_hand_end_and_the_status_is_0(
    server: tuple[subprocess.Popen[str], str], client: Any
) -> None:
    process, _ = server
    stream = client.chat.completions.create(
        model="chat", messages=STORY, stream=True, max_tokens=40, logprobs=True
    )
    chunks = [next(stream)]

    process.send_signal(signal.SIGINT)
    chunks += stream

    _, err = process.communicate(timeout=stretched(20))
    logprobs = [chunk.choices[0].logprobs for chunk in chunks]
    told = [token for each in logprobs if each is not None for token in each.content]
    assert chunks[-1].choices[0].finish_reason == "length"
    assert len(told) == 40
    assert process.returncode == 0
    assert "again to stop at once" in err
    assert "Traceback" not in err


def test_a_second_signal_does_not_wait_for_answers(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SCRIPTED)
    process, url = serving(spec)
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    with process, socket.create_connection((host, int(port))) as slow:
        slow.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
        )
        until(process.stderr, "try: curl")
        process.terminate()
        until(process.stderr, "stopping")
        process.terminate()

        assert process.wait(timeout=stretched(5)) == 130


def test_a_spec_without_a_bus_that_answers_is_served_and_lazily_if_wanted(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC.format(model="missing.gguf"))
    process, url = serving(spec, "--lazy")
    with process, openai.OpenAI(base_url=url, api_key="unused", max_retries=0) as client:
        said = client.chat.completions.create(model="say", messages=CAPITAL)
        with pytest.raises(openai.InternalServerError, match="not available"):
            client.chat.completions.create(model="chat", messages=CAPITAL)
        process.terminate()
        _, err = process.communicate(timeout=stretched(20))

    assert said.choices[0].message.content == "hello"
    assert "there is no file missing.gguf" in err
    assert process.returncode == 0


def test_a_model_that_cannot_be_loaded_is_told_before_anybody_asks(
    run: Run, tmp_path: Path
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC.format(model="missing.gguf"))

    outcome = run("serve", spec, "--port", "0")

    assert (outcome.code, outcome.out) == (1, "")
    assert "there is no file missing.gguf" in outcome.err


def test_a_missing_package_is_told_with_its_agent_before_any_model_is_loaded(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SCRIPTED + "  - {id: phi, type: llm.phi}\n")
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "torch" else found(name)
    )

    outcome = run("serve", spec, "--port", "0")

    assert (outcome.code, outcome.out) == (4, "")
    assert outcome.err == (
        "phi, on the transformers backend, needs torch; run: pip install 'guildbus[torch]'\n"
    )


async def test_beyond_loopback_a_key_is_made_up_and_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exposure, "is_loopback", lambda _: False)  # nobody shall reach the test
    monkeypatch.delenv("GUILDBUS_API_KEY", raising=False)
    spec = tmp_path / "spec.yaml"
    spec.write_text(SCRIPTED)
    task = asyncio.create_task(serve_spec(Call(Common(spec)), Http(port=0, allow_plain_http=True)))
    out = err = ""
    while "try: curl" not in err:
        assert not task.done(), task.result()
        await asyncio.sleep(0)
        more = capsys.readouterr()
        out, err = out + more.out, err + more.err
    (key,) = [line.partition("=")[2] for line in err.splitlines() if "API key" in line]

    async def ask(key: str) -> Any:
        async with openai.AsyncOpenAI(base_url=out.strip(), api_key=key, max_retries=0) as client:
            return await client.chat.completions.create(model="say", messages=CAPITAL)

    with pytest.raises(openai.AuthenticationError):
        await ask("another")
    assert (await ask(key)).choices[0].message.content == "hello"
    assert err.count(key) == 1
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _secret(folder: Path, text: str) -> Path:
    path = folder / "keys"
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["hello"], 2, "names no language model"),
        (["nowhere.yaml"], 3, "cannot read nowhere.yaml"),
        (["SPEC", "--host", "192.0.2.1"], 2, "give --certificate FILE, or --plain-http"),
        (["SPEC", "--host", "192.0.2.1", "--plain-http"], 1, "nobody can listen on 192.0.2.1:8000"),
        (["SPEC", "--host", "a.invalid", "--plain-http"], 1, "nobody can listen on a.invalid"),
        (["SPEC", "--certificate", "none.pem"], 2, "--certificate none.pem cannot be used"),
        (["SPEC", "--certificate", "SPEC"], 2, "a PEM file with the certificate and its key"),
        (["SPEC", "--private-key", "key.pem"], 2, "of no use without --certificate"),
        (["SPEC", "--api-key-file", "none"], 2, "cannot read the keys in none"),
        (["SPEC", "--api-key-file", "EMPTY"], 2, "there is no key in"),
        (["SPEC", "--api-key-file", "SHORT"], 2, "an API key needs at least 16"),
        (["SPEC", "--port", "70000"], 2, "65535"),
        (["SPEC", "--port", "TAKEN"], 1, "in use; choose another port"),
        (["SPEC", "--http", "TAKEN"], 1, "in use; choose another port"),
        (["SPEC", "--http", "192.0.2.1:1"], 2, "give --certificate FILE, or --plain-http"),
        (["SPEC", "--http", "1", "--host", "localhost"], 2, "--http HOST:PORT says what"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else None,
)
def test_what_cannot_be_served_is_a_sentence_and_a_status(
    run: Run, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SCRIPTED)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        stands_for = {
            "SPEC": str(spec),
            "TAKEN": str(taken.getsockname()[1]),
            "EMPTY": str(_secret(tmp_path, "\n")) if "EMPTY" in words else "",
            "SHORT": str(_secret(tmp_path, "hunter2")) if "SHORT" in words else "",
        }
        outcome = run("serve", *(stands_for.get(word, word) for word in words))

    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err
    assert "hunter2" not in outcome.err
    assert outcome.err.count("\n") <= 4


def test_a_key_file_that_others_can_read_is_warned_of(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, keys = tmp_path / "spec.yaml", _secret(tmp_path, "sixteen-characters-and-more")
    spec.write_text(SCRIPTED)
    keys.chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        outcome = run("serve", spec, "--api-key-file", keys, "--port", port)

    assert f"chmod 600 {keys}" in outcome.err


def plan_of(text: str) -> Plan:
    return Plan.of(load_yaml(text))


def test_of_a_spec_its_language_agents_are_read_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.touch()

    chat, say = served_models(plan_of(SPEC.format(model=path)))

    assert (chat.agent, chat.name, chat.config.model) == ("chat", "", str(path))
    assert (chat.defaults["temperature"], chat.defaults["max_tokens"]) == (0.0, 12)
    assert (say.agent, say.name, say.config.backend) == ("say", "script", "scripted")
    assert say.defaults == {"temperature": 0.7, "top_p": 0.9, "top_k": 50}
    assert idle_unload_s(plan_of(SPEC.format(model=path))) == 900


def test_a_models_name_that_two_agents_share_names_neither() -> None:
    agent = "{{id: {}, type: llm.chat, properties: {{model: {}, backend: scripted}}}}"
    agents = ", ".join(agent.format(*pair) for pair in [("a", "m"), ("b", "m"), ("c", "a")])

    served = served_models(plan_of(f"{{id: g, agents: [{agents}]}}"))

    assert [(model.agent, model.name) for model in served] == [("a", ""), ("b", ""), ("c", "")]


def test_the_phi_agents_model_is_served_by_its_hub_id() -> None:
    (model,) = served_models(plan_of("{id: g, agents: [{id: phi, type: llm.phi}]}"))

    assert (model.agent, model.name) == ("phi", "microsoft/phi-2")
