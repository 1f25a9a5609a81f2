"""Whatever the family of a model: in mixed company it says what `generate` says."""

from copy import deepcopy
from typing import Any, ClassVar

import pytest
import torch

from agents.llm.engines import GenerationRequest, decoder
from agents.llm.engines.local_model import Tokens
from agents.llm.engines.options import TransformersOptions
from agents.llm.engines.transformers_model import TransformersModel
from tests.llm.engines.families import FAMILIES, VOCAB_SIZE, Family

# (step of arrival, tokens of the prompt, new tokens): longer than a chunk and a window, and not
ARRIVALS = [(0, 50, 12), (0, 5, 20), (0, 7, 9), (1, 1, 14), (3, 33, 6), (6, 20, 10), (20, 4, 5)]


class NoTokenizer:
    """What a model asks of its tokenizer while nobody asks for text."""

    model_max_length = 10**30
    all_special_ids: tuple[int, ...] = ()
    added_tokens_decoder: ClassVar[dict[int, Any]] = {}
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
    same = deepcopy(raw)  # some kinds leave weights as the memory was: another build may differ
    model = TransformersModel(raw, NoTokenizer(), 256, TransformersOptions(prompt_cache_bytes=0))

    found = answers(model)

    for (_, length, new_tokens), prompt, got in zip(ARRIVALS, prompts(), found, strict=True):
        expected = generate(deepcopy(same), prompt, new_tokens)
        assert got == expected, f"prompt of {length} tokens"
    assert model.soundness.mode == family.mode, model.soundness.reason
    assert model.memory_bytes() == model._weights_bytes
    assert len({token for got in found for token in got}) > 6, "the model is too dull to show it"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_what_was_read_for_one_answer_serves_the_next_ones(family: Family) -> None:
    raw = family.build()
    model = TransformersModel(raw, NoTokenizer(), context_window=256)
    shared = prompts()[0]
    tails = ([3, 4, 5], [3, 9], [7], [3, 4, 5, 6], [3, 4, 5])
    kept = []

    for tail in tails:
        prompt = shared + tail
        said = generate(family.build(), prompt, 6)
        request = GenerationRequest(prompt_ids=tuple(prompt), do_sample=False, max_new_tokens=6)
        state = model.start(prompt, request)
        got: list[int] = []
        while len(got) < 6:
            (outcome,) = model.step([state])
            assert not isinstance(outcome, Exception), outcome
            got += outcome.token_ids if isinstance(outcome, Tokens) else ()
        assert got == said, tail
        kept.append(state.cached_tokens)
        model.end(state)

    reads_in_chunks = model.soundness.reads_in_chunks and family.mode != "uncached"
    assert kept[0] == 0
    assert all(tokens >= len(shared) for tokens in kept[3:]) == reads_in_chunks
    assert all(tokens == 0 for tokens in kept) or reads_in_chunks
