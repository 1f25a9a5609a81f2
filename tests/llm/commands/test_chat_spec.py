"""The shipped spec of the model out of the box."""

from pathlib import Path

import pytest

from guild.cli.calling.call import shipped_specs
from tests.cli.conftest import Run

QUESTION = 'messages:=[{"role": "user", "content": "What is the capital of Japan?"}]'


def quick(spec: str) -> str:
    """The same on one thread, and repeatable."""
    assert spec.count("backend: llamacpp") == 1
    return spec.replace(
        "backend: llamacpp", "backend: llamacpp\n      options: {threads: 1}\n      seed: 1"
    )


def test_it_is_shipped_by_name_and_valid(run: Run) -> None:
    outcome = run("validate", "chat")

    assert (outcome.code, outcome.out, outcome.err) == (0, "chat: ok, 1 agent, 0 routes\n", "")


def test_its_guild_answers_with_the_real_model(run: Run, smollm2: Path, tmp_path: Path) -> None:
    spec = tmp_path / "chat.yaml"
    spec.write_text(quick((shipped_specs() / "chat.yaml").read_text()))

    words = ["--request", "ChatRequest", QUESTION, "--bus", "memory://", "--json"]
    outcome = run("run", spec, *words)

    (answer,) = outcome.documents()
    assert outcome.code == 0
    assert answer["data"]["content"] == "The capital of Japan is Tokyo."
    assert answer["data"]["finish_reason"] == "stop"
    assert answer["data"]["usage"]["completion_tokens"] == 8


def test_without_its_model_the_answer_says_how_to_get_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GUILDBUS_CACHE", str(tmp_path))

    outcome = run("run", "chat", "--request", "ChatRequest", QUESTION, "--bus", "memory://")

    assert outcome.code == 1
    assert "run `guildbus models get smollm2`" in outcome.err
