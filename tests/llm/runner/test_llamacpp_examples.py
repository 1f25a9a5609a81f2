"""The llama.cpp examples of the runner's document, on a small model in a GGUF file."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.llm.engines.errors import ContextOverflowError, LLMInferenceError
from agents.llm.runner import (
    BackendType,
    BaseLLMRunner,
    LlamaCppRunner,
    LLMInitializationError,
    LLMRunnerFactory,
    ModelConfig,
)
from tests.llm.engines.tiny_gguf import save_tiny_gguf

TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[answer]"
MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is AI?"},
]


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "model.gguf"
    return save_tiny_gguf(path, tokenizer__chat_template=TEMPLATE, context_window=2048)


def config_for(path: object, **settings: Any) -> dict[str, Any]:
    """The document's dictionary."""
    return {
        "llm": {
            "backend": "llama.cpp",
            "model_path": str(path),
            "temperature": 0.8,
            "max_tokens": 1000,
            **settings,
        }
    }


@pytest.fixture
def runner(gguf: Path) -> Iterator[BaseLLMRunner]:
    with LLMRunnerFactory.create_runner(config_for(gguf, seed=0, max_tokens=30)) as runner:
        yield runner


def test_the_documents_first_example_runs_as_it_stands(gguf: Path) -> None:
    before = {*threading.enumerate()}
    runner = LLMRunnerFactory.create_runner(config_for(gguf))

    response = runner.generate_text("Hello, world!")

    assert isinstance(runner, LlamaCppRunner)
    assert len(response) > 500  # 1000 tokens of a model that never ends by itself
    assert runner.is_loaded
    assert runner.memory_usage()["model"] > gguf.stat().st_size
    runner.close()
    left = {*threading.enumerate()} - before
    assert not [t for t in left if t.name.startswith(("llm-", "engine-"))]


def test_a_typed_configuration_is_the_same(gguf: Path, runner: BaseLLMRunner) -> None:
    config = ModelConfig(
        model_path=str(gguf),
        backend=BackendType.LLAMA_CPP,
        temperature=0.8,
        max_tokens=30,
        seed=0,
    )

    with LLMRunnerFactory.create_runner(config) as typed:
        assert typed.generate_text("Hello") == runner.generate_text("Hello")


def test_the_streamed_chunks_are_the_text(runner: BaseLLMRunner) -> None:
    chunks = list(runner.generate_text_streaming("Tell me a story:"))

    assert len(chunks) > 5
    assert "".join(chunks) == runner.generate_text("Tell me a story:")


def test_a_chat_completion_has_openais_shape(runner: BaseLLMRunner) -> None:
    response = runner.create_chat_completion(MESSAGES)

    assert response["choices"][0]["message"]["content"]
    assert response["choices"][0]["finish_reason"] == "length"
    rendered = "[system]You are a helpful assistant.[user]What is AI?[answer]"
    assert response["usage"]["prompt_tokens"] <= len(rendered)
    assert response["usage"]["completion_tokens"] == 30


def test_a_streamed_chat_completion_says_the_same(runner: BaseLLMRunner) -> None:
    whole = runner.create_chat_completion(MESSAGES)

    _, *chunks, last = runner.create_chat_completion(MESSAGES, stream=True)

    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    assert text == whole["choices"][0]["message"]["content"]
    assert last["usage"] == whole["usage"]


def test_a_stream_left_early_frees_the_model(runner: BaseLLMRunner) -> None:
    pieces = runner.generate_text_streaming("Tell me a story:", max_tokens=1500)
    assert next(pieces)
    pieces.close()

    assert runner.generate_text("Hello", max_tokens=3)


def test_a_runner_is_loaded_again(runner: BaseLLMRunner) -> None:
    before = runner.generate_text("Hello")

    runner.reload()

    assert runner.generate_text("Hello") == before


def test_what_goes_wrong_is_typed(gguf: Path, tmp_path: Path, runner: BaseLLMRunner) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(gguf.read_bytes()[:5000])

    with pytest.raises(LLMInitializationError, match="no file"):
        LLMRunnerFactory.create_runner(config_for(tmp_path / "none.gguf"))
    with pytest.raises(LLMInitializationError, match=r"breaks off|cannot load"):
        LLMRunnerFactory.create_runner(config_for(broken))
    with pytest.raises(ContextOverflowError):
        runner.generate_text("word " * 2000)
    assert issubclass(ContextOverflowError, LLMInferenceError)


def test_a_backend_may_be_named_as_the_engines_name_it(gguf: Path) -> None:
    runner = LLMRunnerFactory.create_runner(
        {"llm": {"backend": "llamacpp", "model_path": str(gguf), "max_tokens": 4}}
    )
    try:
        assert isinstance(runner, LlamaCppRunner)
        assert runner.run("What is AI?")
    finally:
        runner.close()


def test_a_model_that_comes_through_pip_needs_no_backend(smollm2: Path) -> None:
    config = {"model_path": "smollm2", "temperature": 0, "options": {"threads": 1}}
    with LLMRunnerFactory.create_runner({"llm": config}) as runner:
        assert isinstance(runner, LlamaCppRunner)
        answer = runner.create_chat_completion(
            [{"role": "user", "content": "What is the capital of Japan?"}]
        )

    assert "Tokyo" in answer["choices"][0]["message"]["content"]
