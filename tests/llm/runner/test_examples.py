"""The examples of the runner's document, on a small model."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.llm.engines import Engine
from agents.llm.engines.errors import (
    ContextOverflowError,
    InvalidRequestError,
    MissingDependencyError,
    UnknownBackendError,
)
from agents.llm.engines.scripted import Failure, Hang, Script, scripted_engine
from agents.llm.runner import (
    BackendType,
    BaseLLMRunner,
    DeviceType,
    LlamaCppRunner,
    LLMError,
    LLMInferenceError,
    LLMInitializationError,
    LLMRunnerFactory,
    ModelConfig,
    TransformersRunner,
)
from agents.llm.runner.engine_runner import EngineRunner

MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is AI?"},
]
SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def runner(tiny_chat: Path) -> Iterator[BaseLLMRunner]:
    config = ModelConfig(
        model_path=str(tiny_chat),
        backend=BackendType.TRANSFORMERS,
        device=DeviceType.AUTO,
        temperature=0.7,
        max_tokens=8,
        seed=0,
    )
    with LLMRunnerFactory.create_runner(config) as runner:
        yield runner


class ScriptedRunner(EngineRunner):
    script: Script = ()

    def _create_engine(self) -> Engine:
        return scripted_engine(self.script, self._engine_config())


def scripted(script: Script, **settings: Any) -> ScriptedRunner:
    class Runner(ScriptedRunner):
        pass

    Runner.script = script
    return Runner(ModelConfig(model_path="script", backend="scripted", **settings))


def test_the_nested_dictionary_makes_a_runner(tiny_chat: Path) -> None:
    config = {
        "llm": {
            "backend": "transformers",
            "model_path": str(tiny_chat),
            "temperature": 0.8,
            "max_tokens": 5,
        }
    }

    with LLMRunnerFactory.create_runner(config) as runner:
        assert isinstance(runner, TransformersRunner)
        assert runner.generate_text("Hello, world!")
    assert not runner.is_loaded
    assert not [t for t in threading.enumerate() if t.name == "llm-runner"]


def test_the_streamed_chunks_are_the_text(runner: BaseLLMRunner) -> None:
    chunks = list(runner.generate_text_streaming("Tell me a story:"))

    assert len(chunks) > 1
    assert "".join(chunks) == runner.generate_text("Tell me a story:")
    assert runner.run("Tell me a story:") == runner.generate_text("Tell me a story:")


def test_a_chat_completion_has_openais_shape(runner: BaseLLMRunner) -> None:
    response = runner.create_chat_completion(MESSAGES)

    assert response["object"] == "chat.completion"
    assert response["choices"][0]["message"]["role"] == "assistant"
    assert response["choices"][0]["message"]["content"]
    assert response["choices"][0]["finish_reason"] == "length"
    usage = response["usage"]
    assert usage["completion_tokens"] == 8
    assert usage["total_tokens"] == usage["prompt_tokens"] + 8


def test_a_streamed_chat_completion_says_the_same_in_chunks(runner: BaseLLMRunner) -> None:
    whole = runner.create_chat_completion(MESSAGES)

    first, *chunks, last = runner.create_chat_completion(MESSAGES, stream=True)

    assert first["choices"][0]["delta"]["role"] == "assistant"
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    assert text == whole["choices"][0]["message"]["content"]
    assert last["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "length"}
    assert last["usage"] == whole["usage"]
    assert {chunk["id"] for chunk in (first, *chunks, last)} == {first["id"]}


def test_tool_calls_are_in_the_completion() -> None:
    output = "<think>hm</think>I look.\nTOOL_CALL: search(query=AI)"
    with scripted([output, output]) as runner:
        message = runner.create_chat_completion(MESSAGES, tools=[SEARCH])["choices"][0]
        *_, call, last = runner.create_chat_completion(MESSAGES, tools=[SEARCH], stream=True)

    assert message["finish_reason"] == last["choices"][0]["finish_reason"] == "tool_calls"
    assert message["message"]["reasoning_content"] == "hm"
    function = message["message"]["tool_calls"][0]["function"]
    assert (function["name"], json.loads(function["arguments"])) == ("search", {"query": "AI"})
    assert call["choices"][0]["delta"]["tool_calls"][0]["function"] == function


def test_calls_that_were_cut_off_by_the_limit_are_said_to_be() -> None:
    with scripted(["TOOL_CALL: search(query=AI)\nTOOL_CALL: search(query=ML)"]) as runner:
        answer = runner.create_chat_completion(MESSAGES, max_tokens=3, tools=[SEARCH])

    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "length"
    assert len(choice["message"]["tool_calls"]) == 1


def test_a_runner_of_ones_own_needs_two_methods() -> None:
    class NewBackendRunner(BaseLLMRunner):
        def _initialize_model(self) -> None:
            self.prompts: list[str] = []

        def _run_streaming(self, prompt: str, max_tokens: int, temperature: float) -> Iterator[str]:
            self.prompts.append(prompt)
            yield from ("I ", f"say {max_tokens}", ".\nUs", "er: no")

    LLMRunnerFactory.register("new", NewBackendRunner)
    config = {"llm": {"backend": "new", "model_path": "anything", "max_tokens": 7}}

    runner = LLMRunnerFactory.create_runner(config)

    assert isinstance(runner, NewBackendRunner)
    assert runner.generate_text("x", max_tokens=3).startswith("I say 3.")
    answer = runner.create_chat_completion(MESSAGES)
    assert answer["choices"][0]["message"]["content"].strip() == "I say 7."
    assert "System: You are a helpful assistant." in runner.prompts[-1]
    assert (
        "".join(
            chunk["choices"][0]["delta"].get("content", "")
            for chunk in runner.create_chat_completion(MESSAGES, stream=True)
        ).strip()
        == "I say 7."
    )


def test_a_backend_of_ones_own_that_fails_gives_the_typed_errors() -> None:
    class Broken(BaseLLMRunner):
        def _initialize_model(self) -> None:
            if self.config.model_path == "bad":
                raise OSError("no such device")

        def _run_streaming(self, prompt: str, max_tokens: int, temperature: float) -> Iterator[str]:
            yield "a"
            raise ZeroDivisionError

    with pytest.raises(LLMInitializationError, match="bad cannot be loaded: OSError: no such"):
        Broken(ModelConfig(model_path="bad"))
    with pytest.raises(LLMInferenceError, match="ZeroDivisionError"):
        Broken(ModelConfig(model_path="good")).generate_text("x")


def test_the_backend_follows_from_the_model_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ModelConfig(model_path="/a/model.GGUF").backend_name == BackendType.LLAMA_CPP
    assert ModelConfig(model_path="/a/model").backend_name == BackendType.TRANSFORMERS
    assert ModelConfig(model_path="smollm2").backend_name == BackendType.LLAMA_CPP
    (tmp_path / "smollm2").mkdir()  # a folder here is what is meant
    assert ModelConfig(model_path="smollm2").backend_name == BackendType.TRANSFORMERS
    assert issubclass(LLMInitializationError, LLMError)
    assert issubclass(LLMInferenceError, LLMError)


def test_a_missing_dependency_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    config = {"llm": {"backend": "llama.cpp", "model_path": "/path/to/model.gguf"}}

    with pytest.raises(MissingDependencyError, match=r"pip install 'guildbus\[llamacpp\]'"):
        LLMRunnerFactory.create_runner(config)
    with pytest.raises(LLMInitializationError):
        LlamaCppRunner(ModelConfig.read(config))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "has no 'llm'"),
        ({"llm": {}}, "model_path: Field required"),
        ({"llm": {"model_path": "a", "temprature": 1}}, "temprature: there is no such key"),
        ({"llm": {"model_path": "a", "temperature": 3}}, "temperature"),
        ({"llm": {"model_path": "a", "device": "tpu"}}, "device"),
        ({"llm": {"model_path": "/nowhere/at/all"}}, "no folder /nowhere/at/all"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(config: dict[str, Any], told: str) -> None:
    with pytest.raises(LLMInitializationError, match=told):
        LLMRunnerFactory.create_runner(config)


def test_an_unknown_backend_is_refused_with_what_is_known() -> None:
    with pytest.raises(UnknownBackendError, match=r"did you mean 'transformers'"):
        LLMRunnerFactory.create_runner({"llm": {"backend": "transformer", "model_path": "a"}})


def test_a_stream_left_early_is_cancelled_and_the_runner_goes_on() -> None:
    with scripted([Hang("one two three "), "four"]) as runner:
        pieces = runner.generate_text_streaming("x")
        assert next(pieces)
        assert runner._blocking is not None
        pieces.close()

        assert runner.generate_text("y") == "four"
        assert runner._blocking.engine.stats.active == 0


def test_a_failure_is_typed_and_the_runner_goes_on() -> None:
    script = [Failure(LLMInferenceError("no"), after="a "), "fine"]
    with scripted(script) as runner:
        with pytest.raises(LLMInferenceError, match="no"):
            runner.generate_text("x")
        assert runner.generate_text("x") == "fine"


def test_bad_input_is_refused(runner: BaseLLMRunner) -> None:
    with pytest.raises(ContextOverflowError):
        runner.generate_text("word " * 2000)
    with pytest.raises(InvalidRequestError, match="temperature"):
        runner.generate_text("x", temperature=9)
    with pytest.raises(InvalidRequestError, match="max_new_tokens"):
        runner.generate_text("x", max_tokens=0)
    with pytest.raises(InvalidRequestError, match="role"):
        runner.create_chat_completion([{"role": "robot", "content": "x"}])


def test_an_unsaid_limit_is_512_tokens_or_what_the_window_leaves() -> None:
    endless = ["word " * 600] * 2
    with scripted(endless) as runner:
        assert len(runner.generate_text("x").split()) == 512
        usage = runner.create_chat_completion(MESSAGES)["usage"]
        assert (usage["completion_tokens"], usage["filled_window"]) == (512, False)
    with scripted(endless, context_window=60) as runner:
        assert len(runner.generate_text("x").split()) == 59
        answer = runner.create_chat_completion(MESSAGES)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["total_tokens"] == 60
    assert answer["usage"]["filled_window"]


def test_a_limit_that_somebody_set_is_never_lowered() -> None:
    refused = pytest.raises(ContextOverflowError, match="512 new ones")
    with scripted(["never"], context_window=60) as runner, refused:
        runner.generate_text("x", max_tokens=512)
    with scripted(["never"], context_window=60, max_tokens=512) as runner, refused:
        runner.create_chat_completion(MESSAGES)


def test_reloading_follows_what_is_under_the_path(tiny_chat: Path, tmp_path: Path) -> None:
    link = tmp_path / "model"
    link.symlink_to(tiny_chat, target_is_directory=True)
    config = ModelConfig(model_path=str(link), max_tokens=2)
    runner = LLMRunnerFactory.create_runner(config)
    usage = runner.memory_usage()
    assert 0 < usage["model"] < usage["process"]
    link.unlink()

    with pytest.raises(LLMInitializationError):
        runner.reload()
    with pytest.raises(LLMInferenceError, match="reload"):
        runner.generate_text("x")
    link.symlink_to(tiny_chat, target_is_directory=True)
    runner.reload()

    assert runner.generate_text("x")
    runner.close()
    assert runner.memory_usage()["model"] == 0


def test_threads_share_a_runner(runner: BaseLLMRunner) -> None:
    alone = runner.generate_text("x", temperature=0.0)
    texts: list[str] = []
    threads = [
        threading.Thread(target=lambda: texts.append(runner.generate_text("x", temperature=0.0)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert texts == [alone] * 4
