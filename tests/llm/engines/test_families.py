"""Whatever the family of a model: in mixed company it says what `generate` says."""

from typing import Any

import pytest
import torch

from agents.llm.engines import GenerationRequest, decoder
from agents.llm.engines.local_model import Tokens
from agents.llm.engines.transformers_model import TransformersModel
from tests.llm.engines.families import FAMILIES, VOCAB_SIZE, Family

# (step of arrival, tokens of the prompt, new tokens): longer than a chunk and a window, and not
ARRIVALS = [(0, 50, 12), (0, 5, 20), (0, 7, 9), (1, 1, 14), (3, 33, 6), (6, 20, 10), (20, 4, 5)]


class NoTokenizer:
    """What a model asks of its tokenizer while nobody asks for text."""

    model_max_length = 10**30
    all_special_ids: tuple[int, ...] = ()
    eos_token_id = None

    def convert_ids_to_tokens(self, ids: Any) -> list[str]:
        return []


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def prompts() -> list[list[int]]:
    random = torch.Generator().manual_seed(1)
    return [
        torch.randint(2, VOCAB_SIZE, (length,), generator=random).tolist()
        for _, length, _ in ARRIVALS
    ]


def generate(model: Any, prompt: list[int], new_tokens: int) -> list[int]:
    ids = torch.tensor([prompt])
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=new_tokens, do_sample=False
    )
    return out[0, len(prompt) :].tolist()


def answers(model: TransformersModel) -> list[list[int]]:
    """The answers to all prompts, each of which arrives at its step and leaves when it is done."""
    waiting = [
        (step, index, prompt)
        for index, ((step, _, _), prompt) in enumerate(zip(ARRIVALS, prompts(), strict=True))
    ]
    found: list[list[int]] = [[] for _ in waiting]
    states: dict[int, Any] = {}
    step = 0
    while waiting or states:
        for entry in [w for w in waiting if w[0] <= step]:
            waiting.remove(entry)
            request = GenerationRequest(prompt_ids=tuple(entry[2]), do_sample=False)
            states[entry[1]] = model.start(entry[2], request)
        numbers = list(states)
        for number, outcome in zip(numbers, model.step([states[n] for n in numbers]), strict=True):
            if isinstance(outcome, Exception):
                raise outcome
            if isinstance(outcome, Tokens):
                found[number].extend(outcome.token_ids)
            if len(found[number]) >= ARRIVALS[number][2]:
                model.end(states.pop(number))
        step += 1
    return found


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_in_mixed_company_it_says_what_generate_says(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder, "READ_TOKENS", 24)
    monkeypatch.setattr(decoder, "READ_TOKENS_BESIDE_ANSWERS", 12)
    raw = family.build()
    model = TransformersModel(raw, NoTokenizer(), context_window=256)

    found = answers(model)

    for (_, length, new_tokens), prompt, got in zip(ARRIVALS, prompts(), found, strict=True):
        assert got == generate(family.build(), prompt, new_tokens), f"prompt of {length} tokens"
    assert model.soundness.mode == family.mode, model.soundness.reason
    assert model.memory_bytes() == model._weights_bytes
    assert len({token for got in found for token in got}) > 6, "the model is too dull to show it"
