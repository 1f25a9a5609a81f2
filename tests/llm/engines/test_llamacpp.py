import asyncio
import gc
import os
import struct
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from agents.llm.chat import ChatMessage, render_chat
from agents.llm.engines import (
    EngineConfig,
    Finished,
    FinishReason,
    GenerationRequest,
    create_engine,
)
from agents.llm.engines.errors import (
    EngineBusyError,
    EngineClosedError,
    LLMInferenceError,
    LLMInitializationError,
    MissingDependencyError,
    ModelDamagedError,
    ModelNotFoundError,
)
from agents.llm.engines.factory import BACKENDS
from agents.llm.engines.generation import TextDelta
from agents.llm.engines.gguf import read_metadata
from agents.llm.engines.gguf_vocabulary import _BYTES, GgufVocabulary
from agents.llm.engines.llamacpp_answer import LlamaAnswer
from agents.llm.engines.llamacpp_model import LlamaModel, completion
from agents.llm.engines.llamacpp_room import cache_bytes_per_token, cells, usable_window
from agents.llm.engines.loaded import loaded_tokenizer
from agents.llm.engines.local_engine import LocalEngine
from tests.llm.engines.tiny_gguf import save_tiny_gguf

TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[answer]"


@pytest.fixture(scope="module")
def talking_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with a chat template."""
    path = tmp_path_factory.mktemp("models") / "talking.gguf"
    return save_tiny_gguf(path, tokenizer__chat_template=TEMPLATE, context_window=2048)


@pytest.fixture
async def engine(talking_gguf: Path) -> AsyncIterator[LocalEngine]:
    engine = create_engine(config(talking_gguf))
    assert isinstance(engine, LocalEngine)
    yield engine
    await engine.close()


def config(model: object, **settings: Any) -> EngineConfig:
    settings = {"max_active": 2, "options": {"threads": 1}, **settings}
    return EngineConfig(model=str(model), backend="llamacpp", **settings)


def asking(**settings: Any) -> GenerationRequest:
    return GenerationRequest(**{"prompt": "The ben", "max_new_tokens": 20, **settings})


async def ask(engine: LocalEngine, **settings: Any) -> Finished:
    return await (await engine.submit(asking(**settings))).result()


def loaded(engine: LocalEngine) -> LlamaModel:
    model = engine.model
    assert isinstance(model, LlamaModel)
    return model


async def test_a_seed_means_the_same_each_time_and_zero_is_one(engine: LocalEngine) -> None:
    for seed in (0, 2**63 - 1, 2**32 - 1):
        settings = {"temperature": 1.5, "top_k": 0, "top_p": 1.0, "seed": seed}
        once, again = await ask(engine, **settings), await ask(engine, **settings)

        assert once == again
    other = await ask(engine, temperature=1.5, top_k=0, top_p=1.0, seed=1)
    assert other.text != once.text


async def test_an_answer_that_cannot_begin_takes_no_place(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.load()
    with monkeypatch.context() as patched:
        patched.setattr(LlamaAnswer, "__init__", _no_thread)
        for _ in range(3):
            with pytest.raises(LLMInferenceError, match="new thread"):
                await ask(engine)

    assert (await ask(engine)).token_ids


def _no_thread(*_: Any) -> None:
    raise RuntimeError("can't start new thread")


async def test_answers_wait_that_there_is_no_memory_for(talking_gguf: Path) -> None:
    """Nobody is refused for it: as many may be asked for as were told."""
    metadata = read_metadata(talking_gguf)
    two = 2 * cells(usable_window(metadata, None)) * cache_bytes_per_token(metadata)
    options = {"threads": 1, "max_cache_bytes": two}
    engine = create_engine(config(talking_gguf, max_active=6, max_queue=2, options=options))
    assert isinstance(engine, LocalEngine)
    await engine.load()
    assert loaded(engine).max_active == 2
    assert two < loaded(engine).memory_bytes() < 2 * two

    generations = [await engine.submit(asking(seed=seed)) for seed in range(8)]
    await anext(aiter(generations[0]))
    active = engine.stats.active
    with pytest.raises(EngineBusyError):
        [await engine.submit(asking()) for _ in range(8)]
    answers = [await generation.result() for generation in generations]

    assert active <= 2
    assert all(len(answer.token_ids) == 20 for answer in answers)
    await engine.close()


async def test_without_a_seed_samples_differ(engine: LocalEngine) -> None:
    settings: dict[str, Any] = {"temperature": 2.0, "top_k": 0, "top_p": 1.0}

    assert await ask(engine, **settings) != await ask(engine, **settings)


async def test_bias_forbids_and_forces_tokens(engine: LocalEngine) -> None:
    plain = await ask(engine, do_sample=False)
    first = plain.token_ids[0]

    forbidden = await ask(engine, do_sample=False, logit_bias={first: -100.0})
    forced = await ask(engine, do_sample=False, logit_bias={first: 100.0})

    assert first not in forbidden.token_ids
    assert set(forced.token_ids) == {first}


async def test_a_penalty_counts_the_prompt(engine: LocalEngine) -> None:
    first = (await ask(engine, do_sample=False, max_new_tokens=1)).text

    penalised = await ask(
        engine, prompt=first + "The ben", do_sample=False, repetition_penalty=10.0
    )

    assert first not in penalised.text


async def test_log_probabilities_come_with_each_token(engine: LocalEngine) -> None:
    generation = await engine.submit(asking(do_sample=False, logprobs=3))
    *deltas, last = [event async for event in generation]

    assert isinstance(last, Finished)
    assert [entry.token_id for entry in last.logprobs] == list(last.token_ids)
    for entry in last.logprobs:
        assert len(entry.top) == 3
        assert entry.top[0] == (entry.token_id, entry.logprob)
        assert entry.logprob < 0
    shown = [entry for delta in deltas if isinstance(delta, TextDelta) for entry in delta.logprobs]
    assert shown == list(last.logprobs[: len(shown)])
    assert (await ask(engine, do_sample=False)).logprobs == ()
    assert all(e.top == () for e in (await ask(engine, logprobs=0)).logprobs)


async def test_an_end_token_ends_the_answer_and_is_not_text(engine: LocalEngine) -> None:
    await engine.load()
    (end,) = loaded(engine).end_token_ids

    finished = await ask(engine, logit_bias={end: 100.0})

    assert (finished.reason, finished.text, finished.token_ids) == (FinishReason.STOP, "", (end,))


async def test_a_stop_string_may_be_a_special_token(engine: LocalEngine) -> None:
    await engine.load()
    (end,) = loaded(engine).end_token_ids

    finished = await ask(engine, logit_bias={end: 100.0}, stop=("<|endoftext|>",))

    assert (finished.reason, finished.text) == (FinishReason.STOP, "")


async def test_no_token_of_a_character_is_lost(engine: LocalEngine) -> None:
    """llama.cpp tells only of a character's last token."""
    await engine.load()
    model = loaded(engine)
    expected = model.encode("🎉 今日 é")
    request = completion(model.encode("a"), asking(do_sample=False), 30, model.context_window)
    request["grammar"] = 'root ::= "🎉 今日 é"'
    answer = LlamaAnswer(
        model._server.handle_completions, request, model._vocabulary, None, model._arrived
    )
    answer.join()

    taken = []
    while (outcome := answer.take()) is not None:
        assert not isinstance(outcome, Exception | int)
        taken += outcome.token_ids

    assert model.decode(taken) == "🎉 今日 é"
    assert [i for i in taken if i not in model.end_token_ids] == expected


async def test_bytes_that_are_no_character_do_not_break_an_answer(engine: LocalEngine) -> None:
    await engine.load()
    byte = loaded(engine)._vocabulary._tokens.index(b"\xf0")

    finished = await ask(engine, do_sample=False, logit_bias={byte: 100.0})

    assert finished.reason is FinishReason.LENGTH
    assert len(finished.token_ids) == 20
    assert set(finished.text) == {"\ufffd"}


async def test_a_long_prompt_can_be_cancelled_while_it_is_read(engine: LocalEngine) -> None:
    generation = await engine.submit(asking(prompt="The ben" * 600, max_new_tokens=1))

    generation.cancel()

    assert (await generation.result()).reason is FinishReason.CANCELLED
    assert (await ask(engine)).reason is FinishReason.LENGTH


async def test_it_listens_on_no_port_and_leaves_nothing_behind(talking_gguf: Path) -> None:
    engine = create_engine(config(talking_gguf))
    await engine.load()
    assert isinstance(engine, LocalEngine)
    folder = Path(loaded(engine)._socket.path).parent
    assert folder.stat().st_mode & 0o077 == 0

    ports = [c for c in psutil.Process().net_connections("inet") if c.status == "LISTEN"]
    await engine.close()

    assert ports == []
    assert not folder.exists()


async def test_who_spells_and_renders_while_it_is_closed_is_told_so(engine: LocalEngine) -> None:
    """A conversation becomes tokens before it is submitted: the engine may be closed meanwhile."""
    await engine.load()
    tokens = loaded_tokenizer(engine)
    assert tokens is not None
    await engine.close()

    with pytest.raises(EngineClosedError):
        tokens.encode("x")
    with pytest.raises(EngineClosedError):
        render_chat([ChatMessage(role="user", content="x")], tokens.tokenizer)


async def test_conversations_are_rendered_by_the_files_own_template(engine: LocalEngine) -> None:
    await engine.load()
    model = loaded(engine)
    message = ChatMessage(role="user", content="Hi <|endoftext|> there")

    prompt = render_chat([message], model.tokenizer)

    assert prompt.text == "[user]Hi <|endoftext|> there[answer]"
    assert prompt.ids is not None
    assert not set(prompt.ids) & model.end_token_ids
    assert (await ask(engine, prompt=None, prompt_ids=prompt.ids)).prompt_tokens == len(prompt.ids)


async def test_a_prompt_that_was_read_before_is_not_read_again(engine: LocalEngine) -> None:
    prompt = "The ben" * 60
    before = await ask(engine, prompt=prompt, do_sample=False)

    after = await ask(engine, prompt=prompt, do_sample=False)

    assert (before.cached_tokens, after.text) == (0, before.text)
    assert after.cached_tokens > 100


def test_the_window_is_the_models_and_at_most_what_was_asked_for(tmp_path: Path) -> None:
    path = save_tiny_gguf(tmp_path / "long.gguf", context_window=100_000)

    for asked, window in ((None, 4096), (64, 64), (10**6, 100_000)):
        model = LlamaModel(path, context_window=asked, max_active=1, threads=1)
        assert model.context_window == window
        model.close()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: b"", "no GGUF file"),
        (lambda data: b"PK" + data, "no GGUF file"),
        (lambda data: data[:300], "breaks off"),
        (lambda data: data[:16] + struct.pack("<Q", 2**60) + data[24:], "promises"),
        (lambda data: data[:4] + struct.pack("<I", 77) + data[8:], "version 77"),
        (lambda data: data[:-4000], "breaks off"),
        (lambda data: data[:8] + struct.pack("<Q", 3) + data[16:], "cannot load"),
    ],
    ids=["empty", "another kind", "cut in the head", "lie", "version", "cut in the weights", "few"],
)
async def test_a_damaged_file_is_an_error_and_the_process_lives(
    tiny_gguf: Path, tmp_path: Path, spoil: Any, said: str
) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(spoil(tiny_gguf.read_bytes()))  # noqa: ASYNC240  a small file

    with pytest.raises(ModelDamagedError, match=said):
        await create_engine(config(path)).load()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"general__architecture": "strange"}, "context"),
        ({"general__architecture": "strange", "strange__context_length": 128}, "architecture"),
        ({"tokenizer__ggml__model": "bert"}, "tokenizer is 'bert'"),
        ({"tokenizer__ggml__tokens": None}, "tokenizer"),
        ({"tokenizer__ggml__token_type": [1, 1]}, "more tokens than types"),
        ({"llama__context_length": None}, "context"),
        ({"llama__block_count": 9}, "cannot load"),
    ],
)
async def test_a_file_of_a_kind_that_does_not_work_is_an_error(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path = save_tiny_gguf(tmp_path / "odd.gguf", **changes)

    with pytest.raises(ModelDamagedError, match=said):
        await create_engine(config(path)).load()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dtype": "float32"}, "has its own"),
        ({"revision": "main"}, "has none"),
        ({"device": "cuda"}, "auto, or cpu"),
        ({"max_active": 257}, "at most 256"),
        ({"options": {"thread": 1}}, r"known: threads, gpu_layers"),
        ({"options": {"threads": 0}}, "threads"),
    ],
)
def test_what_it_cannot_do_is_refused_before_anything_is_loaded(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(LLMInitializationError, match=said):
        create_engine(config("smollm2", **settings))


async def test_a_model_that_is_not_here_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUILDBUS_CACHE", str(tmp_path))

    with pytest.raises(ModelNotFoundError, match="guildbus models get smollm2"):
        await create_engine(config("smollm2")).load()
    with pytest.raises(ModelNotFoundError, match="no file"):
        await create_engine(config(tmp_path / "none.gguf")).load()


async def test_without_the_extra_the_error_says_what_to_install(
    tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(MissingDependencyError, match=r"guildbus\[llamacpp\]"):
        await create_engine(config(tiny_gguf)).load()


@pytest.mark.parametrize("backend", ["llamacpp", "transformers"])
def test_a_package_that_is_not_there_is_told_with_its_extra(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS, backend, "no_such_package.engine")

    extra = {"transformers": "torch"}.get(backend, backend)
    told = rf"{backend} backend needs no_such_package: pip install 'guildbus\[{extra}\]'"
    with pytest.raises(MissingDependencyError, match=told):
        create_engine(EngineConfig(model="smollm2", backend=backend))


def test_it_works_where_there_is_no_torch(tiny_gguf: Path) -> None:
    code = f"""
import asyncio, sys
for name in ("torch", "transformers", "tokenizers", "llguidance", "jinja2"):
    sys.modules[name] = None  # importing it fails
from agents.llm.engines import EngineConfig, GenerationRequest, create_engine

async def main():
    engine = create_engine(EngineConfig(model={str(tiny_gguf)!r}, backend="llamacpp"))
    answer = await (await engine.submit(GenerationRequest(prompt="The", max_new_tokens=5))).result()
    print(len(answer.token_ids))
    await engine.close()

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr


def test_an_answer_is_kept_in_form_where_there_is_no_torch(tiny_gguf: Path) -> None:
    code = f"""
import asyncio, sys
for name in ("torch", "transformers", "tokenizers", "safetensors", "accelerate", "gguf"):
    sys.modules[name] = None
from agents.llm.chat import ChatMessage
from agents.llm.dialogue import Dialogue, Sampling
from agents.llm.engines import EngineConfig, create_engine
from agents.llm.structured import grammar_of_type

async def main():
    engine = create_engine(EngineConfig(model={str(tiny_gguf)!r}, backend="llamacpp"))
    dialogue = Dialogue(engine, Sampling(max_new_tokens=30), grammar=grammar_of_type(list[int]))
    print(type((await dialogue.answer([ChatMessage(role="user", content="Hi")])).value))
    await engine.close()

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "<class 'list'>\n"), done.stderr


def test_a_process_that_forgets_to_close_ends_all_the_same(tiny_gguf: Path) -> None:
    code = f"""
import asyncio
from agents.llm.engines import EngineConfig, GenerationRequest, create_engine

async def main():
    global engine
    engine = create_engine(EngineConfig(model={str(tiny_gguf)!r}, backend="llamacpp"))
    await anext(aiter(await engine.submit(GenerationRequest(prompt="The", max_new_tokens=100))))

asyncio.run(main())
"""
    environment = {**os.environ, "TMPDIR": str(tiny_gguf.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert list(tiny_gguf.parent.glob("guildbus-*")) == []


async def test_a_server_that_breaks_the_answer_off_is_an_error_not_a_silence(
    engine: LocalEngine,
) -> None:
    await engine.load()
    model = loaded(engine)
    pieces: list[Any] = []

    class Server:
        def handle_completions(self, request: str, receive: Any) -> None:
            for piece in pieces:
                if receive(piece):
                    return

    server, model._server = model._server, Server()
    for pieces[:], said in (
        ([], "broke the answer off"),
        (["nonsense"], "not understood"),
        (['{"error": {"message": "no memory", "type": "server_error"}}'], "no memory"),
    ):
        with pytest.raises(Exception, match=said):
            await ask(engine)
    model._server = server
    assert (await ask(engine)).reason is FinishReason.LENGTH


async def test_many_that_come_and_go_leave_no_thread(engine: LocalEngine) -> None:
    generations = await asyncio.gather(*(engine.submit(asking(seed=n)) for n in range(20)))
    for generation in generations[::2]:
        generation.cancel()
    ends = [await generation.result() for generation in generations]

    assert {end.reason for end in ends} <= {FinishReason.CANCELLED, FinishReason.LENGTH}
    assert loaded(engine)._answers == [] or engine.stats.active == 0


def test_tokens_of_sentence_piece_are_spelt_as_text() -> None:
    vocabulary = GgufVocabulary(
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": [b"<unk>", b"</s>", b"<0x0A>", "▁Hi".encode(), b"<0xF0>"],
            "tokenizer.ggml.token_type": (2, 3, 6, 1, 6),
            "tokenizer.ggml.eos_token_id": 1,
        }
    )

    assert vocabulary.decode([3, 1, 2]) == " Hi\n"
    assert vocabulary.end_token_ids == {1}
    assert vocabulary.special_texts == {0: "<unk>", 1: "</s>"}
    assert vocabulary.spell_before("\ufffd Hi", [3], 1) == [4]


def test_tokens_that_were_added_by_hand_are_read_but_are_no_plain_text() -> None:
    vocabulary = GgufVocabulary(
        {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.tokens": [b"a", b"<tool_call>", b"<|im_end|>", b"<unused>"],
            "tokenizer.ggml.token_type": (1, 4, 3, 5),
        }
    )

    assert vocabulary.decode([1]) == "<tool_call>"
    assert vocabulary.text_tokens == [b"a", b"", b"", b""]
    assert [vocabulary.written(i) for i in (0, 1, 2)] == [b"a", b"<tool_call>", b"<|im_end|>"]


def test_each_byte_has_a_character_of_its_own() -> None:
    assert sorted(_BYTES.values()) == list(range(256))


def test_metadata_are_read_as_they_are(tiny_gguf: Path) -> None:
    metadata = read_metadata(tiny_gguf)

    assert metadata["general.architecture"] == "llama"
    assert metadata["tokenizer.ggml.tokens"][-1] == b"<|endoftext|>"
    assert metadata["tokenizer.ggml.token_type"][-1] == 3
    assert metadata["tokenizer.ggml.add_bos_token"] is False


async def test_a_finished_generation_that_is_kept_keeps_no_answer(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.load()
    model, answers = loaded(engine), []
    start = model.start

    def noted(*arguments: Any) -> Any:
        answer = start(*arguments)
        answers.append(weakref.ref(answer))
        return answer

    monkeypatch.setattr(model, "start", noted)
    generation = await engine.submit(asking(max_new_tokens=3))
    await generation.result()
    await engine.close()
    gc.collect()

    assert answers[0]() is None  # it knows the server, and so all of the model's memory
    assert generation
