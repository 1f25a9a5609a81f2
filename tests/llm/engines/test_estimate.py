"""The memory that is told before a model is loaded, beside what it takes when it is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from agents.llm.engines import EngineConfig, LLMInitializationError
from agents.llm.engines.errors import ModelDamagedError, ModelNotFoundError
from agents.llm.engines.estimate import TORCH_BYTES, estimate_memory
from agents.llm.engines.forward import Forward
from agents.llm.engines.llamacpp_room import answers_at_once
from agents.llm.engines.model_facts import cached_entries
from agents.llm.engines.pool import CacheSizes
from agents.llm.engines.transformers_model import open_model
from agents.llm.models import fetch_model
from tests.llm.engines.families import FAMILIES, Family
from tests.llm.tiny_phi import save_tiny_phi

MEASURE = """
import asyncio, importlib, json, sys
from pathlib import Path
from agents.llm.engines import EngineConfig, GenerationRequest, create_engine

def resident():
    text = Path("/proc/self/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024

async def main():
    config, library, prompt_tokens, new_tokens = json.loads(sys.argv[1])
    importlib.import_module(library)
    before = resident()
    engine = create_engine(EngineConfig(**config))
    generations = [
        await engine.submit(GenerationRequest(
            prompt_ids=tuple(5 + (i + k) % 90 for k in range(prompt_tokens)),
            max_new_tokens=new_tokens, do_sample=False,
        ))
        for i in range(config["max_active"])
    ]
    for generation in generations:
        await generation.result()
    print(before, resident())
    await engine.close()

asyncio.run(main())
"""
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def resident(
    config: dict[str, Any], library: str, prompt_tokens: int, new_tokens: int
) -> tuple[int, int]:
    """Most resident bytes of a process that has imported `library`, and when its answers ran."""
    arguments = json.dumps([config, library, prompt_tokens, new_tokens])
    command = [sys.executable, "-c", MEASURE, arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    before, peak = map(int, done.stdout.split()[-2:])
    return before, peak


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Llama of 28M parameters."""
    folder = save_tiny_phi(tmp_path_factory.mktemp("models") / "llama")
    config = LlamaConfig(
        vocab_size=16_000,
        hidden_size=512,
        intermediate_size=1024,
        num_hidden_layers=5,
        num_attention_heads=8,
        max_position_embeddings=2048,
        eos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_keys_and_values_of_a_token_are_told_by_the_configuration(family: Family) -> None:
    model = family.build()
    known = type(model.config)().to_dict()
    facts = {k: v for k, v in model.config.to_dict().items() if "key_value" not in k or k in known}
    sizes = CacheSizes(None)
    if family.mode != "uncached":
        forward = Forward(model, is_exact=True)
        cache = forward.new_cache()
        ids = torch.tensor([[3, 4, 5]])
        with torch.inference_mode():
            forward(ids, torch.arange(3)[None], cache)
        sizes = CacheSizes(cache)

    told = cached_entries(facts) * 4

    if family.mode == "uncached":  # never less than it takes
        assert told >= sizes._token
    else:
        assert told == sizes._token


@pytest.mark.parametrize(
    ("dtype", "options"),
    [("auto", {}), ("bfloat16", {}), ("auto", {"int8": True})],
    ids=["float32", "bfloat16", "int8"],
)
def test_weights_are_told_by_the_files(llama: Path, dtype: str, options: dict[str, Any]) -> None:
    config = EngineConfig(model=str(llama), device="cpu", dtype=dtype, options=options)

    told = estimate_memory(config).weights_bytes

    assert open_model(config)._weights_bytes == pytest.approx(told, rel=0.01)


@on_linux
@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_transformers_model_takes_what_was_told(llama: Path) -> None:
    config = {"model": str(llama), "device": "cpu", "max_active": 8, "context_window": 450}
    config["options"] = {"prompt_cache_bytes": 0}

    estimate = estimate_memory(EngineConfig(**config))
    library = "transformers.models.llama.modeling_llama"
    before, peak = resident(config, library, prompt_tokens=440, new_tokens=4)

    assert before == pytest.approx(TORCH_BYTES, rel=0.25)
    assert peak - before == pytest.approx(estimate.most_bytes - TORCH_BYTES, rel=0.25)
    assert estimate.least_bytes < estimate.most_bytes


@on_linux
@pytest.mark.parametrize("max_active", [1, 8])
def test_a_llamacpp_model_takes_what_was_told(max_active: int) -> None:
    path = fetch_model("smollm2")
    options = {"threads": 1}
    config = {"model": str(path), "backend": "llamacpp", "max_active": max_active}
    config |= {"context_window": 2048, "options": options}

    estimate = estimate_memory(EngineConfig(**config))
    _, peak = resident(config, "xllamacpp", prompt_tokens=9, new_tokens=2)

    assert peak == pytest.approx(estimate.most_bytes, rel=0.25)
    assert estimate.least_bytes == estimate.most_bytes  # it takes all at once


MB = 1 << 20


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, 8),  # 768 MiB
        ({"most": 3}, 3),
        ({"max_cache_bytes": 3200 * MB}, 32),  # what somebody asks for is taken
        ({"max_cache_bytes": 250 * MB}, 2),
        ({"max_cache_bytes": 1}, 1),
        ({"weights_bytes": 2000 * MB}, 21),  # as much again as the weights
        ({"free_bytes": 1100 * MB}, 5),  # half of what is left
        ({"free_bytes": 0}, 1),
        ({"free_bytes": 1100 * MB, "max_cache_bytes": 3200 * MB}, 32),
        ({"each_bytes": 0}, 32),
        ({"each_bytes": 9000 * MB}, 1),
    ],
)
def test_llama_cpp_has_room_for_as_many_answers_as_fit(facts: Any, expected: int) -> None:
    usual = {"each_bytes": 94 * MB, "most": 32, "weights_bytes": 90 * MB}
    usual |= {"max_cache_bytes": None, "free_bytes": None}

    assert answers_at_once(**(usual | facts)) == expected


def test_the_small_model_takes_less_than_a_gigabyte_by_default() -> None:
    """It took 3.1: room for 32 answers of 4096 tokens."""
    path = str(fetch_model("smollm2"))

    def most(**options: Any) -> int:
        config = EngineConfig(model=path, backend="llamacpp", options=options)
        return estimate_memory(config).most_bytes

    assert most() < 1e9
    assert most(max_cache_bytes=4 << 30) > 3e9  # 32 at once, where somebody asks for it


def test_weights_of_a_gguf_file_are_unpacked_by_transformers() -> None:
    path = str(fetch_model("smollm2"))

    told = estimate_memory(EngineConfig(model=path, device="cpu"))

    assert told.weights_bytes == pytest.approx(134.5e6 * 4, rel=0.01)
    assert told.loading_bytes > told.weights_bytes


def test_fewer_bits_and_shorter_windows_need_less(llama: Path) -> None:
    def most(**changes: Any) -> int:
        return estimate_memory(EngineConfig(model=str(llama), **changes)).most_bytes

    assert most(context_window=512) < most()
    assert most(max_active=4) < most()
    assert most(dtype="bfloat16") < most()
    assert most(options={"load_in_4bit": True}) < most()
    assert most(options={"load_in_8bit": True}) < most(options={"load_in_4bit": True})  # float16


def test_a_configuration_without_weights_tells_the_same(llama: Path, tmp_path: Path) -> None:
    shutil.copy(llama / "config.json", tmp_path)

    for options in ({}, {"int8": True}, {"load_in_4bit": True}):
        whole, alone = (
            estimate_memory(EngineConfig(model=str(folder), options=options))
            for folder in (llama, tmp_path)
        )
        assert alone.weights_bytes == whole.weights_bytes
        assert alone.most_bytes == pytest.approx(whole.most_bytes, rel=0.01)


def test_the_limit_of_caches_is_kept_to(llama: Path) -> None:
    limit = 100 << 20
    config = EngineConfig(model=str(llama), options={"max_cache_bytes": limit})

    assert estimate_memory(config).most_cache_bytes == limit


def test_a_server_elsewhere_takes_nothing_here() -> None:
    assert estimate_memory(EngineConfig(model="gpt", backend="openai")).most_bytes == 0


@pytest.mark.parametrize(
    ("model", "error", "text"),
    [
        ("no/such-model", ModelNotFoundError, "is known when it has been fetched"),
        ("not a model", ModelNotFoundError, "is known when it has been fetched"),
        ("empty", ModelDamagedError, "config.json cannot be read"),
        ("listed", ModelDamagedError, "holds no object"),
        ("weightless", ModelDamagedError, "its config.json describes no model"),
        ("cut", ModelDamagedError, "is damaged or breaks off"),
        ("cut.gguf", ModelDamagedError, "is damaged or breaks off"),
    ],
)
def test_what_cannot_be_told_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, error: type, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, config in (("empty", None), ("listed", "[]"), ("weightless", "{}"), ("cut", "{}")):
        (tmp_path / name).mkdir()
        if config is not None:
            (tmp_path / name / "config.json").write_text(config)
    (tmp_path / "cut" / "model.safetensors").write_bytes(b"\xff" * 20)
    (tmp_path / "cut.gguf").write_bytes(b"GGUF\x03\0\0\0" + b"\xff" * 16)

    with pytest.raises(error, match=text):
        estimate_memory(EngineConfig(model=model))


@pytest.mark.parametrize(
    "facts",
    [
        {"num_attention_heads": "many", "hidden_size": None},
        {"num_attention_heads": 4, "head_dim": "wide", "num_hidden_layers": 2},
        {"num_attention_heads": 4, "layer_types": [{}, []], "num_hidden_layers": 2},
        {"num_attention_heads": float("inf"), "max_position_embeddings": -1},
        {"num_attention_heads": 4, "hidden_size": 1e300, "num_hidden_layers": True},
        {"text_config": [], "intermediate_size": ["a", 3], "vocab_size": {}},
    ],
)
def test_a_nonsensical_configuration_breaks_nothing(
    llama: Path, tmp_path: Path, facts: dict[str, Any]
) -> None:
    shutil.copy(llama / "model.safetensors", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(facts))

    assert estimate_memory(EngineConfig(model=str(tmp_path))).weights_bytes > 0


def test_a_backend_that_does_not_tell_is_named() -> None:
    with pytest.raises(LLMInitializationError, match="'abacus' needs is not known"):
        estimate_memory(EngineConfig(model="beads", backend="abacus"))
