"""What users of `generate` with a streamer reported; each is right here.

The reports: transformers 22576, 27927, 31963; ms-swift 10133; litgpt 1822; openvino.genai 717;
unsloth 10812; GPT-SoVITS 885; kserve 4490.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from agents.llm.engines import FinishReason
from agents.llm.engines.errors import ContextOverflowError, InvalidRequestError
from agents.llm.frontend import TorchInference
from agents.llm.structured import grammar_of_regex
from tests.llm.structured.vocabularies import END, tokenizer

PROMPT = "The benefits of multi-agent systems include"


@pytest.fixture(scope="module")
def frontend(tiny_phi: Path) -> Iterator[TorchInference]:
    with TorchInference(tiny_phi, device="cpu") as frontend:
        yield frontend


def test_a_request_that_fails_strands_neither_its_reader_nor_the_next_one(
    frontend: TorchInference,
) -> None:
    before = frontend.inference(PROMPT, max_tokens=5, temp=0).result()

    with pytest.raises(InvalidRequestError, match="repetition_penalty"):
        frontend.inference(PROMPT, repetition_penalty=0)
    with pytest.raises(ContextOverflowError):
        next(frontend.inference(PROMPT * 50))

    assert frontend.inference(PROMPT, max_tokens=5, temp=0).result() == before


def test_another_thread_ends_an_answer_whose_reader_waits(frontend: TorchInference) -> None:
    inference = frontend.inference(PROMPT, max_tokens=80)
    first = next(inference)
    with ThreadPoolExecutor(1) as reader:
        rest = reader.submit("".join, inference)
        inference.close()

        text = first + rest.result(timeout=60)

    assert len(inference._ended) <= 1  # closed between two pieces, or while it waited for one
    if inference._ended:
        assert inference.finished.reason in {FinishReason.CANCELLED, FinishReason.LENGTH}
        assert inference.finished.text == text
    frontend.inference(PROMPT, max_tokens=1).result()
    assert frontend._running.engine.stats.active == 0


def test_an_answer_that_is_closed_before_it_begins_never_begins(frontend: TorchInference) -> None:
    before = frontend._running.engine.stats.prompt_tokens
    inference = frontend.inference(PROMPT)

    inference.close()

    assert list(inference) == []
    assert frontend._running.engine.stats.prompt_tokens == before


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama whose tokens have their spaces before them, and lose one at the beginning."""
    folder = tmp_path_factory.mktemp("models") / "llama"
    words = tokenizer("llama")
    words.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        initializer_range=0.3,
        eos_token_id=words.eos_token_id,
        bos_token_id=words.eos_token_id,
    )
    torch.manual_seed(1)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_no_space_is_lost_between_two_pieces(llama: Path) -> None:
    words = grammar_of_regex("[A-Za-z,]{1,6}( [A-Za-z,]{1,6}){9,20}")
    with TorchInference(llama, device="cpu") as frontend:
        for seed in range(6):
            inference = frontend.inference("Ada", output_type=words, seed=seed, temp=1.5, top_k=0)
            pieces = list(inference)
            prompt = frontend.tokenizer.encode("Ada")
            written = [*prompt, *inference.finished.token_ids]
            whole = frontend.tokenizer.decode(written).removesuffix(END)

            assert len(pieces) > 3
            assert "".join(pieces) == whole.removeprefix(frontend.tokenizer.decode(prompt))
            assert "".join(pieces).count(" ") >= 9


def test_nothing_of_a_stop_text_is_shown_and_what_follows_it_is_not_computed(
    frontend: TorchInference,
) -> None:
    free = frontend.inference(PROMPT, max_tokens=60, seed=3)
    text = free.result()
    stop = text[10:14]
    at = text.find(stop)

    stopped = frontend.inference(PROMPT, max_tokens=60, seed=3, stop=(stop,))
    pieces = list(stopped)

    assert "".join(pieces) == text[:at]
    assert stopped.finished.reason is FinishReason.STOP
    assert len(stopped.finished.token_ids) < len(free.finished.token_ids)


def test_seeds_hold_in_threads_and_leave_everybody_elses_random_numbers_alone(
    frontend: TorchInference,
) -> None:
    def ask(seed: int) -> str:
        return str(frontend.inference(PROMPT, seed=seed, temp=1.5, max_tokens=20).result())

    torch.manual_seed(7)
    expected = torch.rand(3)
    alone = [ask(seed) for seed in range(4)]
    torch.manual_seed(7)
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(ask, range(4)))

    assert together == alone
    assert torch.equal(torch.rand(3), expected)


def test_an_end_token_is_no_text(tiny_phi: Path, tmp_path: Path) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_phi)
    torch.nn.init.constant_(model.lm_head.bias[model.config.eos_token_id], 100.0)
    model.save_pretrained(tmp_path)
    tokens = tokenizer_of(tiny_phi, tmp_path)
    with TorchInference(tmp_path, device="cpu") as frontend:
        inference = frontend.inference(PROMPT)
        assert list(inference) == []
        assert list(frontend.inference(frontend.tokenizer.encode(PROMPT))) == [tokens.eos_token_id]

    assert inference.finished.reason is FinishReason.STOP


def tokenizer_of(source: Path, target: Path) -> Any:
    from transformers import AutoTokenizer  # noqa: PLC0415 - used here alone

    tokens = AutoTokenizer.from_pretrained(source)
    tokens.save_pretrained(target)
    return tokens


def test_several_prompts_at_once_are_refused_by_number(frontend: TorchInference) -> None:
    with pytest.raises(InvalidRequestError, match="2 rows"):
        frontend.inference(torch.ones(2, 3, dtype=torch.long))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        (None, "of the type NoneType; give a text, tokens or messages"),
        (b"bytes", "of the type bytes; give"),
        (torch.tensor(5), "of the type int; give"),
        (torch.ones(3, dtype=torch.bool), "holds truth values, as a mask does"),
    ],
)
def test_what_is_no_prompt_is_refused(frontend: TorchInference, prompt: Any, told: str) -> None:
    with pytest.raises(InvalidRequestError, match=told):
        frontend.inference(prompt)
