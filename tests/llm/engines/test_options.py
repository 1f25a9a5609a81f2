"""Options of the transformers backend: formats, quantization, devices."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from structlog.testing import capture_logs
from torch import nn
from transformers import BloomConfig, BloomForCausalLM, LlamaConfig, LlamaForCausalLM

from agents.llm.engines import (
    EngineConfig,
    Finished,
    GenerationRequest,
    LLMInitializationError,
    create_engine,
    loading,
)
from agents.llm.engines.errors import (
    InvalidRequestError,
    MissingDependencyError,
    ModelDamagedError,
    ModelNotFoundError,
)
from agents.llm.engines.int8 import Int8Linear, quantize
from agents.llm.engines.local_engine import LocalEngine
from tests.llm.tiny_phi import save_tiny_phi

MakeEngine = Callable[..., LocalEngine]


@pytest.fixture
async def make_engine(tiny_phi: Path) -> AsyncIterator[MakeEngine]:
    engines: list[Any] = []

    def make(model: Path = tiny_phi, **options: Any) -> LocalEngine:
        config = EngineConfig(model=str(model), device="cpu", options=options)
        engines.append(create_engine(config))
        return engines[-1]

    yield make
    for engine in engines:
        await engine.close()


async def ask(engine: LocalEngine) -> Finished:
    request = GenerationRequest(prompt="The benefits", do_sample=False, max_new_tokens=8)
    return await (await engine.submit(request)).result()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"load_in_9bit": True}, "load_in_9bit"),
        ({"int8": True, "load_in_4bit": True}, "choose one"),
        ({"max_cache_bytes": 0}, "max_cache_bytes"),
        ({"prompt_cache_bytes": -1}, "prompt_cache_bytes"),
    ],
)
async def test_options_without_sense_are_refused_by_name(
    make_engine: MakeEngine, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(LLMInitializationError, match=named):
        await make_engine(**options).load()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
async def test_in_each_dtype_answers_are_decoded_together(tiny_phi: Path, dtype: str) -> None:
    engine = create_engine(EngineConfig(model=str(tiny_phi), device="cpu", dtype=dtype))

    answers = await asyncio.gather(*(ask(engine) for _ in range(4)))

    assert [len(finished.token_ids) for finished in answers] == [8] * 4
    assert engine._worker.loaded.result().soundness.mode == "together"
    await engine.close()


async def test_the_commit_of_remote_code_that_nobody_pinned_is_told(tiny_phi: Path) -> None:
    config = EngineConfig(model=str(tiny_phi), device="cpu", trust_remote_code=True)
    for revision, told in ((None, 1), ("abc", 0)):
        engine = create_engine(config.model_copy(update={"revision": revision}))
        with capture_logs() as logs:
            await engine.load()
        await engine.close()
        assert [entry["event"] for entry in logs].count("model.remote_code") == told


async def test_a_tokenizer_that_knows_more_tokens_than_the_model_fails_the_request_only(
    tmp_path: Path,
) -> None:
    save_tiny_phi(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    config = BloomConfig(vocab_size=50, hidden_size=16, n_layer=1, n_head=2)
    BloomForCausalLM(config).save_pretrained(tmp_path)
    engine = create_engine(EngineConfig(model=str(tmp_path), device="cpu"))

    with pytest.raises(InvalidRequestError, match="only 50"):
        await ask(engine)
    request = GenerationRequest(prompt_ids=(3,), max_new_tokens=2, logit_bias={2: -100.0})
    assert len((await (await engine.submit(request)).result()).token_ids) == 2
    await engine.close()


async def test_int8_is_a_quarter_of_the_linear_layers_and_says_so(make_engine: MakeEngine) -> None:
    exact, int8 = make_engine(), make_engine(int8=True)
    await exact.load()

    finished = await ask(int8)

    assert len(finished.token_ids) == 8
    assert int8.capabilities.dtype == "int8"
    assert int8.stats.memory_bytes < 0.6 * exact.stats.memory_bytes


def test_int8_computes_what_the_layer_computed_about_as_exactly_as_8_bits_allow() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 48)
    inputs = torch.randn(2, 5, 64)
    inputs[0, 0] *= 1000  # one loud token takes nothing from the others
    expected = linear(inputs)

    got = Int8Linear(linear)(inputs)

    error = (got - expected).abs().amax(-1) / expected.abs().amax(-1)
    assert error.max() < 0.02


def test_int8_of_a_token_does_not_depend_on_its_company() -> None:
    torch.manual_seed(0)
    layer = Int8Linear(nn.Linear(64, 48, bias=False))
    inputs = torch.randn(17, 64)

    assert torch.equal(layer(inputs)[3:4], layer(inputs[3:4]))


def test_embeddings_are_not_quantized() -> None:
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            tie_word_embeddings=True,
        )
    )
    quantize(model)

    assert model.model.embed_tokens.weight.dtype == torch.float32
    assert isinstance(model.lm_head, Int8Linear)
    assert isinstance(model.model.layers[0].self_attn.q_proj, Int8Linear)


async def test_int8_elsewhere_than_on_the_cpu_is_refused_with_the_other_way(
    tiny_phi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "choose_device", lambda name: torch.device("cuda"))
    engine = create_engine(EngineConfig(model=str(tiny_phi), options={"int8": True}))
    with pytest.raises(LLMInitializationError, match="load_in_8bit"):
        await engine.load()
    await engine.close()


@pytest.mark.parametrize("option", ["load_in_8bit", "load_in_4bit"])
async def test_bits_without_their_package_name_the_command(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'guildbus\[quantized\]'"):
        await make_engine(**{option: True}).load()


async def test_a_device_map_spreads_the_model(make_engine: MakeEngine) -> None:
    assert await ask(make_engine(device_map="cpu")) == await ask(make_engine())


async def test_a_gguf_file_that_is_not_there(make_engine: MakeEngine, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="there is no"):
        await make_engine(tmp_path / "model.gguf").load()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", r"model\.gguf is no GGUF file"),
        (b"GGUF", r"model\.gguf is damaged or breaks off"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 64, r"model\.gguf is damaged or breaks off \(it prom"),
    ],
)
async def test_a_gguf_file_that_is_damaged_or_lies_about_its_sizes(
    make_engine: MakeEngine, tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelDamagedError, match=told):
        await make_engine(path).load()


async def test_a_model_without_a_stated_window_has_one_and_another_can_be_set(
    tmp_path: Path,
) -> None:
    save_tiny_phi(tmp_path)  # its tokenizer stays
    (tmp_path / "model.safetensors").unlink()
    config = BloomConfig(vocab_size=379, hidden_size=16, n_layer=1, n_head=2)
    BloomForCausalLM(config).save_pretrained(tmp_path)
    windows = []
    for window in (None, 4096, 64):
        engine = create_engine(
            EngineConfig(model=str(tmp_path), device="cpu", context_window=window)
        )
        await engine.load()
        windows.append(engine.capabilities.context_window)
        await engine.close()

    assert windows == [2048, 4096, 64]
