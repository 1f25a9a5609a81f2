"""Models that cannot be loaded, and what the error says."""

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from agents.llm.engines import EngineConfig, LLMInitializationError, create_engine
from agents.llm.engines.errors import (
    DeviceUnavailableError,
    HubUnreachableError,
    MissingDependencyError,
    ModelDamagedError,
    ModelNotFoundError,
    UnknownBackendError,
)
from agents.llm.engines.loading import choose_device, choose_dtype
from agents.llm.models import SMOLLM2

TIED = ("lm_head.weight", "model.embed_tokens.weight")


async def load(model: object, **settings: Any) -> Any:
    engine = create_engine(EngineConfig(model=str(model), **{"device": "cpu", **settings}))
    try:
        await engine.load()
        return engine.capabilities
    finally:
        await engine.close()


@pytest.fixture
def copied(tiny_phi: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_phi, tmp_path / "model"))


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="save_pretrained"):
        await load(tmp_path / "nothing")


async def test_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_text("")
    with pytest.raises(ModelNotFoundError, match="is a file"):
        await load(tmp_path / "model.bin")


async def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelDamagedError, match=r"config\.json"):
        await load(tmp_path)


@pytest.mark.parametrize("missing", ["model.safetensors", "tokenizer.json"])
async def test_a_folder_with_a_part_missing(copied: Path, missing: str) -> None:
    (copied / missing).unlink()
    with pytest.raises(ModelDamagedError, match="cannot be loaded"):
        await load(copied)


@pytest.mark.parametrize("damaged", ["model.safetensors", "tokenizer.json", "config.json"])
async def test_a_folder_with_a_damaged_part(copied: Path, damaged: str) -> None:
    (copied / damaged).write_bytes(b"{ not what it should be")
    with pytest.raises(ModelDamagedError, match="cannot be loaded"):
        await load(copied)


async def test_no_weights_are_made_up(copied: Path) -> None:
    """transformers fills in random ones, warns, and the model talks nonsense."""
    weights = load_file(copied / "model.safetensors")
    config = json.loads((copied / "config.json").read_text())
    save_file({k: v for k, v in weights.items() if "embed" not in k}, copied / "model.safetensors")
    with pytest.raises(ModelDamagedError, match=r"lack model\.embed_tokens\.weight; get all"):
        await load(copied)

    save_file(weights, copied / "model.safetensors")
    config["num_hidden_layers"] += 1
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelDamagedError, match=r"lack model\.layers\.2\..* and 13 more weights"):
        await load(copied)


async def test_an_index_that_lists_a_part_of_the_weights(copied: Path) -> None:
    AutoModelForCausalLM.from_pretrained(copied).save_pretrained(copied, max_shard_size="40KB")
    (copied / "model.safetensors").unlink(missing_ok=True)
    index = copied / "model.safetensors.index.json"
    await load(copied)
    table = json.loads(index.read_text())
    del table["weight_map"]["lm_head.weight"]
    index.write_text(json.dumps(table))

    with pytest.raises(ModelDamagedError, match=r"lack lm_head\.weight"):
        await load(copied)


@pytest.mark.parametrize("kept", ["lm_head.weight", "model.embed_tokens.weight"])
async def test_weights_that_are_tied_are_not_missed(copied: Path, kept: str) -> None:
    """Of two names of one tensor transformers writes one, by chance."""
    config = AutoConfig.from_pretrained(copied)
    config.tie_word_embeddings = True
    AutoModelForCausalLM.from_config(config).save_pretrained(copied)
    path = copied / "model.safetensors"
    weights = load_file(path)
    tied = [weights.pop(name) for name in TIED if name in weights]
    assert len(tied) == 1
    save_file(weights | {kept: tied[0]}, path, {"format": "pt"})

    await load(copied)


@pytest.mark.parametrize("kind", ["phi", "qwen2", "gemma", "bert"])
async def test_no_tokenizer_is_made_up(copied: Path, kind: str) -> None:
    """Where no file of it was copied, transformers gives an empty one of the model's kind."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copied / name).unlink()
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"model_type": kind}))

    with pytest.raises(ModelDamagedError, match=r"knows no text; get tokenizer\.json"):
        await load(copied)


async def test_what_ends_an_answer_is_not_lost_with_a_damaged_file(copied: Path) -> None:
    (copied / "generation_config.json").write_text('{"eos_token_id": [1')
    with pytest.raises(ModelDamagedError, match=r"generation_config\.json cannot be read"):
        await load(copied)


async def test_a_model_of_the_hub_without_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnreachableError, match="give a folder"):
        await load("nobody/no-such-model")


async def test_a_folder_loads_without_a_connection(
    tiny_phi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert (await load(tiny_phi)).context_window == 128


async def test_a_device_that_is_not_there(tiny_phi: Path) -> None:
    with pytest.raises(DeviceUnavailableError, match=r"cuda:99.*'cpu' or 'auto'"):
        await load(tiny_phi, device="cuda:99")


async def test_torch_that_is_not_installed(tiny_phi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "agents.llm.engines.transformers_model")
    monkeypatch.delattr("agents.llm.engines.transformers_model", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'guildbus\[torch\]'"):
        await load(tiny_phi)


async def test_an_unknown_option_is_refused(tiny_phi: Path) -> None:
    with pytest.raises(LLMInitializationError, match="load_in_9bit"):
        await load(tiny_phi, options={"load_in_9bit": True})


def test_an_unknown_backend_suggests_the_nearest() -> None:
    with pytest.raises(UnknownBackendError, match="did you mean 'transformers'"):
        create_engine(EngineConfig(model="x", backend="transformer"))


async def test_the_window_asked_for_can_only_be_smaller(tiny_phi: Path) -> None:
    assert (await load(tiny_phi, context_window=64)).context_window == 64
    assert (await load(tiny_phi, context_window=4096)).context_window == 128


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
async def test_a_dtype_that_was_asked_for_is_used(tiny_phi: Path, dtype: str) -> None:
    assert (await load(tiny_phi, dtype=dtype)).dtype == dtype


def test_auto_means_the_checkpoints_dtype_but_no_float16_on_the_cpu() -> None:
    class Saved:
        dtype = torch.float16

    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert choose_dtype("auto", cuda, Saved()) is torch.float16
    assert choose_dtype("auto", cpu, Saved()) is torch.float32
    Saved.dtype = torch.bfloat16
    assert choose_dtype("auto", cpu, Saved()) is torch.bfloat16


def test_auto_takes_cuda_when_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"


async def test_loading_tells_nobody_but_the_log(
    tiny_phi: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    await load(tiny_phi)
    assert "Loading weights" not in capfd.readouterr().err


async def test_the_interface_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, agents.llm.engines, agents.llm.engines.scripted\n"
        "import agents.llm.engines.transformers_engine\n"
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await child.wait() == 0


async def test_a_model_that_comes_through_pip_goes_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUILDBUS_CACHE", str(tmp_path))
    with pytest.raises(ModelNotFoundError, match="guildbus models get smollm2"):
        await load("smollm2")

    file = tmp_path / "models" / SMOLLM2.file_name
    file.parent.mkdir()
    with file.open("wb") as fetched:
        fetched.truncate(SMOLLM2.size_bytes)  # the size is all that is looked at
    with pytest.raises(LLMInitializationError, match=SMOLLM2.file_name):
        await load("smollm2")
