"""Weights of 8 and of 4 bits, by bitsandbytes, on the CPU: real and smaller."""

import gc
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from agents.llm.agent import HuggingFaceLocalAgent
from agents.llm.chat import AgentPayload
from agents.llm.engines import EngineConfig, GenerationRequest, create_engine
from agents.llm.engines.estimate import estimate_memory
from tests.llm.chat_models import save_tiny_chat_model

KINDS = ["load_in_8bit", "load_in_4bit"]
PROMPTS = ["The benefits of", "A guild is a set of agents that work by", "To be", "naïve"]
NEW_TOKENS = 12


@pytest.fixture(scope="module", autouse=True)
def _bitsandbytes() -> None:
    """Here, because the import takes seconds, and a worker that only collects needs none."""
    pytest.importorskip("bitsandbytes", reason="the extra `quantized` is not installed")


@pytest.fixture(scope="module")
def wide_phi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Phi whose linear layers are most of it."""
    folder = tmp_path_factory.mktemp("models") / "wide-phi"
    return save_tiny_chat_model(folder, hidden_size=256)


def generated(folder: Path, kind: str) -> list[tuple[int, ...]]:
    """What `generate` says for each prompt, with the weights quantised in the same way."""
    bits: Any = BitsAndBytesConfig
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float16 if kind == "load_in_8bit" else torch.float32,
        quantization_config=bits(**{kind: True}),
    )
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    answers = []
    for prompt in PROMPTS:
        ids = torch.tensor([tokenizer(prompt)["input_ids"]])
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False
        )
        answers.append(tuple(out[0, ids.shape[1] :].tolist()))
    return answers


@pytest.mark.parametrize("kind", KINDS)
async def test_greedy_answers_are_those_of_generate_one_by_one(wide_phi: Path, kind: str) -> None:
    expected = generated(wide_phi, kind)
    engine = create_engine(EngineConfig(model=str(wide_phi), device="cpu", options={kind: True}))

    answers = [
        await (
            await engine.submit(
                GenerationRequest(prompt=prompt, max_new_tokens=NEW_TOKENS, do_sample=False)
            )
        ).result()
        for prompt in PROMPTS
    ]

    assert [answer.token_ids for answer in answers] == expected
    if kind == "load_in_4bit":  # 8 bits treat columns by what all rows of a batch have in them
        together = [
            await engine.submit(
                GenerationRequest(prompt=prompt, max_new_tokens=NEW_TOKENS, do_sample=False)
            )
            for prompt in PROMPTS
        ]
        assert [(await one.result()).token_ids for one in together] == expected
    assert engine.capabilities.dtype == kind.removeprefix("load_in_")
    await engine.close()


async def test_memory_falls_and_by_what_was_told(wide_phi: Path) -> None:
    found, told = [], []
    for kind in [None, *KINDS]:
        options: dict[str, Any] = {kind: True} if kind else {}
        config = EngineConfig(model=str(wide_phi), device="cpu", options=options)
        engine = create_engine(config)
        await engine.load()
        found.append(engine.stats.memory_bytes)
        told.append(estimate_memory(config).weights_bytes)
        await engine.close()
        gc.collect()

    whole, eight, four = found
    assert eight < 0.5 * whole
    assert four < 0.5 * whole
    assert found == pytest.approx(told, rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_local_agent_answers_with_fewer_bits(wide_phi: Path, kind: str) -> None:
    agent = HuggingFaceLocalAgent(
        str(wide_phi), device="cpu", max_new_tokens=8, do_sample=False, **{kind: True}
    )

    response = await agent.invoke(AgentPayload(user_message="How warm is it?"))

    assert agent.is_loaded
    assert response.response or response.metadata
    await agent.unload_model()
