"""What users of other command lines for language models have reported, tried on ours.

Each test names the report. Decided first was what is right; then it was tried.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest

from agents.llm.commands.model_server import serve
from agents.llm.dialogue import Sampling
from agents.llm.engines import EngineConfig, create_engine
from agents.llm.repl.conversation import Conversation
from agents.llm.repl.interrupts import Interrupts
from guild.checking.loader import load_file
from guild.checking.plan import Plan
from guild.gateway.exposure import Listening
from tests.cli.conftest import ROOT, Run, until
from tests.llm.commands.served import SCRIPTED, serving
from tests.llm.commands.terminal import CTRL_D, Terminal
from tests.llm.commands.test_chat import TEMPLATE, talk
from tests.llm.commands.test_serve import CAPITAL
from tests.llm.engines.tiny_gguf import save_tiny_gguf

PASTE, PASTED = "\x1b[200~", "\x1b[201~"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "talking.gguf"
    return save_tiny_gguf(path, tokenizer__chat_template=TEMPLATE, context_window=8192)


def test_lines_that_are_pasted_together_are_one_question(tiny: Path) -> None:
    """simonw/llm 267 and 713, kardolus/chatgpt-cli 160: the first line was sent alone."""
    words = ("chat", tiny, "--seed", "1", "--threads", "1", "--max-new-tokens", "3")
    with Terminal(*words, cwd=tiny.parent, PYTHONPATH=str(ROOT), TERM="xterm") as terminal:
        terminal.until("> ")
        terminal.type(f"{PASTE}first line\nsecond line\nthird line{PASTED}")
        terminal.until("third line")
        terminal.type("\n")
        terminal.until("\n> ")
        terminal.type(CTRL_D)

        assert terminal.end() == 0
    assert terminal.raw.count("\x1b[?2004h") == 2  # before the one answer, and after it


def test_ctrl_d_is_a_clean_end(tiny: Path) -> None:
    """simonw/llm 1214: it printed `Aborted!` and failed. llm-workflow-engine 41: it was sent."""
    with talk(tiny) as terminal:
        terminal.until("> ")
        terminal.type(CTRL_D)

        assert terminal.end() == 0
    assert terminal.shown.rstrip().endswith(">")


async def test_ctrl_c_ends_the_reading_of_a_prompt_too(
    smollm2: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ollama/ollama 2052: the prompt was read to its end first, however long."""
    config = EngineConfig(
        model=str(smollm2), backend="llamacpp", max_active=1, options={"threads": 1}
    )
    engine, interrupts = create_engine(config), Interrupts()
    await engine.load()
    system = "The fox jumps over the dog. " * 250
    conversation = Conversation(engine, system, Sampling(), interrupts)
    with interrupts.installed():
        answering = asyncio.create_task(conversation.answer("Hello"))
        while not engine.stats.active:  # noqa: ASYNC110  in the engine's thread
            await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)
        await answering
        while engine.stats.active:  # noqa: ASYNC110  likewise
            await asyncio.sleep(0)

    assert engine.stats.generated_tokens == 0
    assert capsys.readouterr().out == "\n"
    await engine.close()


def test_piped_answers_hold_no_escape_sequences(tiny: Path) -> None:
    """sigoden/aichat 483 and others: spinners and editing commands among the data."""
    command = [sys.executable, "-m", "guild.cli", "chat", str(tiny), "--max-new-tokens", "5"]
    environ = os.environ | {"TERM": "xterm", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, input=b"Hello\n", capture_output=True, env=environ, check=True, cwd=tiny.parent
    )

    assert b"\x1b" not in done.stdout + done.stderr
    assert done.stdout.count(b"\n") == 1


async def test_a_server_can_be_started_again_at_once_on_its_port() -> None:
    """vllm-project/vllm 9737: `address already in use` for a minute after a restart."""
    config = EngineConfig(model="m", backend="scripted", options={"replies": ["a", "b"]})
    port = 0
    for _ in range(2):
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(
            serve({"m": config}, Listening(port=port), asyncio.Event(), ready=url.set_result)
        )
        await asyncio.wait({task, url}, return_when=asyncio.FIRST_COMPLETED)
        assert not task.done(), task.result()
        async with openai.AsyncOpenAI(base_url=await url, api_key="unused") as client:
            await client.completions.create(model="m", prompt="x")
            port = int((await url).removesuffix("/v1").rpartition(":")[2])
            task.cancel()  # while the client's connection is open: the server closes it first
            await asyncio.wait([task])


def test_a_model_that_is_not_there_is_told_with_those_that_are(scripted_url: str) -> None:
    """cubist38/mlx-openai-server 291: a 404 and nothing to go by."""
    with (
        openai.OpenAI(base_url=scripted_url, api_key="unused", max_retries=0) as client,
        pytest.raises(openai.NotFoundError, match="this server has say, script"),
    ):
        client.chat.completions.create(model="gpt-4o", messages=CAPITAL)


def test_a_key_is_never_a_word_of_the_command_line_and_never_printed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sgl-project/sglang 36346: argv is there for all to read; CodeNeow/MyLlama 31: so is a log."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(SCRIPTED)
    assert run("serve", spec, "--api-key", "canary-canary-canary").code == 2
    key = "canary-canary-canary"
    process, url = serving(spec, environ={"GUILDBUS_API_KEY": key})
    told = "".join(until(process.stderr, "try: curl"))
    with process, openai.OpenAI(base_url=url, api_key=key, max_retries=0) as client:
        answer = client.chat.completions.create(model="say", messages=CAPITAL)
        process.terminate()
        _, err = process.communicate()

    assert answer.choices[0].message.content == "hello"
    assert "$GUILDBUS_API_KEY" in told
    assert key not in told + err


@pytest.mark.parametrize("end", ["/", "/chat/completions", "/models"])
def test_a_url_may_end_as_people_copy_it(run: Run, scripted_url: str, end: str) -> None:
    """sigoden/aichat 767, open-webui 16749, cline/cline 375: a slash or a path was a 404."""
    outcome = run("init", "--model", scripted_url + end, "--served-model", "say")

    assert outcome.code == 0, outcome.err
    properties: Any = Plan.of(load_file("chat.yaml")).agent_properties(0)
    assert properties.options["base_url"] == scripted_url


def test_a_folder_of_ggufs_is_answered_with_the_file_to_give(run: Run, tmp_path: Path) -> None:
    """dphnAI/sonar 417: a missing config.json was complained of, which no GGUF has."""
    folder = tmp_path / "models"
    folder.mkdir()
    save_tiny_gguf(folder / "tiny.gguf")

    outcome = run("init", "--model", folder)

    assert outcome.code == 1
    assert f"give the file itself, such as {folder}/tiny.gguf" in outcome.err
