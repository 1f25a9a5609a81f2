"""Where and how a model is computed: its device, one or several, compiled, beside another model."""

import asyncio
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.llm.engines import EngineConfig, Finished, GenerationRequest, create_engine
from agents.llm.engines.factory import BACKENDS
from agents.llm.engines.loading import choose_device
from agents.llm.engines.scripted import scripted_engine
from tests.llm.tiny_phi import save_tiny_phi


async def answer(model: Path, **options: Any) -> Finished:
    engine = create_engine(EngineConfig(model=str(model), device="cpu", options=options))
    try:
        return await _asked(engine)
    finally:
        await engine.close()


async def _asked(engine: Any) -> Finished:
    request = GenerationRequest(prompt="The benefits", do_sample=False, max_new_tokens=8)
    return await (await engine.submit(request)).result()


@pytest.mark.parametrize(
    ("has_cuda", "has_mps", "hip", "chosen"),
    [
        (True, False, None, "cuda"),
        (True, False, "6.2", "cuda"),  # ROCm's PyTorch calls its devices so, too
        (True, True, None, "cuda"),
        (False, True, None, "mps"),
        (False, False, None, "cpu"),
    ],
)
def test_the_best_device_is_chosen_and_goes_by_its_name(
    monkeypatch: pytest.MonkeyPatch, has_cuda: bool, has_mps: bool, hip: str | None, chosen: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(has_cuda))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has_mps)
    monkeypatch.setattr(torch.version, "hip", hip)

    assert choose_device("auto") == choose_device(chosen) == torch.device(chosen)


async def test_a_model_in_several_files_answers_as_in_one(tiny_phi: Path, tmp_path: Path) -> None:
    assert _save_in_parts(tiny_phi, tmp_path) > 2

    assert await answer(tmp_path) == await answer(tiny_phi)


def _save_in_parts(model: Path, folder: Path) -> int:
    """How many files it takes."""
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    AutoModelForCausalLM.from_pretrained(model).save_pretrained(folder, max_shard_size="20KB")
    return len(list(folder.glob("model-*.safetensors")))


async def test_layers_that_stay_on_the_disk_answer_as_in_memory(tiny_phi: Path) -> None:
    """By accelerate, as with a model that is larger than the memory."""
    in_memory = (
        "model.embed_tokens",
        "model.rotary_emb",
        "model.layers.0",
        "model.final_layernorm",
    )
    split = {**dict.fromkeys(in_memory, "cpu"), "model.layers.1": "disk", "lm_head": "disk"}

    assert await answer(tiny_phi, device_map=split) == await answer(tiny_phi)


async def test_compile_is_asked_for_the_feed_forward_layers(
    tiny_phi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(
        nn.Module, "compile", lambda self, **_: compiled.append(type(self).__name__)
    )

    await answer(tiny_phi, compile=True)

    assert compiled == ["PhiMLP", "PhiMLP"], "of its two layers"


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's own parts
async def test_a_compiled_model_answers_as_it_did(tiny_phi: Path) -> None:
    assert await answer(tiny_phi, compile=True) == await answer(tiny_phi)


async def test_two_engines_on_one_device_answer_at_once_as_alone(
    tiny_phi: Path, tmp_path: Path
) -> None:
    other = save_tiny_phi(tmp_path, seed=1)
    alone = [await answer(tiny_phi), await answer(other)]
    engines = [create_engine(EngineConfig(model=str(m), device="cpu")) for m in (tiny_phi, other)]
    try:
        together = await asyncio.gather(*(_asked(engine) for engine in engines * 4))
    finally:
        for engine in engines:
            await engine.close()

    assert together == alone * 4
    assert alone[0] != alone[1]


async def test_a_backend_is_one_module_and_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    mine: Any = ModuleType("my_backend")
    mine.create = lambda config: scripted_engine(lambda prompt: f"You said {prompt}.", config)
    monkeypatch.setitem(sys.modules, mine.__name__, mine)
    monkeypatch.setitem(BACKENDS, "mine", mine.__name__)

    engine = create_engine(EngineConfig(model="any", backend="mine"))
    finished = await _asked(engine)
    await engine.close()

    assert finished.text == "You said The benefits."
