"""Faults of one answer, and of the device, in the middle of company."""

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.llm.engines import EngineConfig, GenerationRequest, LLMInferenceError, decoder
from agents.llm.engines.errors import OutOfMemoryError
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.local_model import Tokens
from agents.llm.engines.options import TransformersOptions
from agents.llm.engines.pool_layers import KeyValueRows
from agents.llm.engines.transformers_model import TransformersModel, open_model

BAD = 5  # a token that some faults are tied to
PROMPTS = [tuple(range(20 + n, 24 + 3 * n)) for n in range(6)]


@pytest.fixture
def model(tiny_phi: Path) -> TransformersModel:
    raw = AutoModelForCausalLM.from_pretrained(tiny_phi).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_phi)
    return TransformersModel(raw, tokenizer, None, TransformersOptions(prompt_cache_bytes=0))


class Crowd:
    """Answers that are stepped together, as an engine does it, until all have ended."""

    def __init__(self, model: TransformersModel, new_tokens: int = 12) -> None:
        self._model = model
        self._new_tokens = new_tokens
        self._running: dict[int, Any] = {}
        self.said: dict[int, list[int]] = {}
        self.failed: dict[int, Exception] = {}
        self.first_step: dict[int, int] = {}
        self.steps = 0

    def ask(self, prompt: tuple[int, ...]) -> int:
        number = len(self.said)
        self.said[number] = []
        request = GenerationRequest(
            prompt_ids=prompt, do_sample=False, max_new_tokens=self._new_tokens
        )
        self._running[number] = self._model.start(prompt, request)
        return number

    def step(self) -> None:
        self.steps += 1
        numbers = list(self._running)
        for number, outcome in zip(
            numbers, self._model.step([self._running[n] for n in numbers]), strict=True
        ):
            if isinstance(outcome, Tokens):
                self.first_step.setdefault(number, self.steps)
                self.said[number].extend(outcome.token_ids)
            elif outcome is not None:
                self.failed[number] = outcome
            if number in self.failed or len(self.said[number]) >= self._new_tokens:
                self.leave(number)

    def leave(self, number: int) -> None:
        self._model.end(self._running.pop(number))

    def run(self) -> None:
        while self._running:
            self.step()
            assert self.steps < 1000


def together(model: TransformersModel, *prompts: tuple[int, ...]) -> Crowd:
    crowd = Crowd(model)
    for prompt in prompts:
        crowd.ask(prompt)
    crowd.run()
    return crowd


def alone(model: TransformersModel, prompt: tuple[int, ...]) -> list[int]:
    return together(model, prompt).said[0]


def spoil(model: TransformersModel, monkeypatch: pytest.MonkeyPatch, fault: Any) -> None:
    """Let `fault(input_ids, output)` happen in each forward."""
    forward = model._model.forward

    def spoilt(**inputs: Any) -> Any:
        fault(inputs["input_ids"], None)
        output = forward(**inputs)
        fault(inputs["input_ids"], output)
        return output

    monkeypatch.setattr(model._model, "forward", spoilt)


@pytest.mark.parametrize("largest", [1, 2, 3])
def test_a_batch_that_needs_too_much_memory_is_halved_until_it_fits(
    model: TransformersModel, monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    expected = [alone(model, prompt) for prompt in PROMPTS]

    def fault(ids: torch.Tensor, output: Any) -> None:
        if output is not None and len(ids) > largest:  # after it has written into the caches
            raise torch.OutOfMemoryError("no")

    spoil(model, monkeypatch, fault)

    crowd = together(model, *PROMPTS)

    assert crowd.failed == {}
    assert list(crowd.said.values()) == expected


@pytest.mark.parametrize(
    ("raised", "typed"),
    [(torch.OutOfMemoryError("no"), OutOfMemoryError), (RuntimeError("kernel"), RuntimeError)],
)
def test_what_fails_for_one_answer_while_it_is_decoded_leaves_the_others_right(
    model: TransformersModel,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    typed: type[Exception],
) -> None:
    expected = [alone(model, prompt) for prompt in PROMPTS]
    victim = expected[2][4]

    def fault(ids: torch.Tensor, output: Any) -> None:
        if output is not None and ids.shape[1] == 1 and victim in ids:
            raise raised

    spoil(model, monkeypatch, fault)

    crowd = together(model, *PROMPTS)

    hit = {n for n, said in enumerate(expected) if victim in said[:-1]}
    assert set(crowd.failed) == hit
    assert 2 in hit
    assert all(isinstance(error, typed) for error in crowd.failed.values())
    for number in set(crowd.said) - hit:
        assert crowd.said[number] == expected[number]


@pytest.mark.parametrize("where", ["scores", "keys"])
def test_numbers_that_are_none_fail_their_own_answer_and_leave_nothing_behind(
    model: TransformersModel, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    expected = [alone(model, prompt) for prompt in PROMPTS]
    poisoned = (BAD, *PROMPTS[0])
    with torch.no_grad():
        weight = model._model.model.embed_tokens.weight
        before = weight[BAD].clone()
        if where == "keys":
            weight[BAD] = torch.nan

    def fault(ids: torch.Tensor, output: Any) -> None:
        if where == "scores" and output is not None:
            output.logits[(ids == BAD).any(dim=1)] = torch.nan

    spoil(model, monkeypatch, fault)

    crowd = together(model, *PROMPTS[:3], poisoned, *PROMPTS[3:])
    again = together(model, *PROMPTS)
    with torch.no_grad():
        weight[BAD] = before

    assert isinstance(crowd.failed.pop(3), LLMInferenceError)
    assert crowd.failed == {}
    assert [said for number, said in crowd.said.items() if number != 3] == expected
    assert list(again.said.values()) == expected
    assert model.memory_bytes() == model._weights_bytes


@pytest.mark.parametrize("rows", [2, 3, 5])
@pytest.mark.parametrize("layer", [0, 1])
def test_no_memory_for_another_row_fails_the_newest_and_leaves_the_others_right(
    model: TransformersModel, monkeypatch: pytest.MonkeyPatch, rows: int, layer: int
) -> None:
    expected = [alone(model, prompt) for prompt in PROMPTS]
    moved = KeyValueRows._moved
    stores = [store for _, store in model._decoder._company._pool._stores]

    def no_memory(self: KeyValueRows, old: Any, wanted: int, *rest: Any) -> Any:
        if wanted >= rows and self is stores[layer]:
            raise torch.OutOfMemoryError("no")
        return moved(self, old, wanted, *rest)

    monkeypatch.setattr(KeyValueRows, "_moved", no_memory)
    crowd = Crowd(model)
    for prompt in PROMPTS:
        crowd.ask(prompt)
        crowd.step()
    crowd.run()

    assert crowd.failed
    assert all(isinstance(error, OutOfMemoryError) for error in crowd.failed.values())
    assert 0 not in crowd.failed
    for number in set(crowd.said) - set(crowd.failed):
        assert crowd.said[number] == expected[number]
    monkeypatch.setattr(KeyValueRows, "_moved", moved)
    assert list(together(model, *PROMPTS).said.values()) == expected


@pytest.mark.parametrize("largest", [32, 64])
def test_a_prompt_that_needs_too_much_memory_is_read_in_smaller_pieces(
    model: TransformersModel, monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    long = tuple(range(20, 120))
    expected = [alone(model, long), alone(model, PROMPTS[0])]

    def fault(ids: torch.Tensor, output: Any) -> None:
        if output is not None and ids.numel() > largest:
            raise torch.OutOfMemoryError("no")

    spoil(model, monkeypatch, fault)

    crowd = together(model, long, PROMPTS[0])

    assert crowd.failed == {}
    assert list(crowd.said.values()) == expected


def test_a_prompt_for_which_there_is_no_memory_at_all_fails(
    model: TransformersModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = alone(model, PROMPTS[0])

    def fault(ids: torch.Tensor, output: Any) -> None:
        if ids.numel() > 20:
            raise torch.OutOfMemoryError("no")

    spoil(model, monkeypatch, fault)

    crowd = together(model, tuple(range(20, 120)), PROMPTS[0])

    assert isinstance(crowd.failed.pop(0), OutOfMemoryError)
    assert crowd.failed == {}
    assert crowd.said[1] == expected


def test_without_memory_what_was_kept_of_prompts_is_given_up(
    tiny_phi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = AutoModelForCausalLM.from_pretrained(tiny_phi).eval()
    model = TransformersModel(raw, AutoTokenizer.from_pretrained(tiny_phi), None)
    long = tuple(range(20, 70))
    expected = alone(model, long)
    assert model.memory_bytes() > model._weights_bytes
    is_full = [True]

    def fault(ids: torch.Tensor, output: Any) -> None:
        if is_full.pop() if is_full else False:
            raise torch.OutOfMemoryError("no")

    spoil(model, monkeypatch, fault)

    crowd = together(model, (19, *long))
    assert crowd.failed == {}
    assert alone(model, long) == expected


def test_answers_wait_for_memory_rather_than_exceed_the_budget(tiny_phi: Path) -> None:
    raw = AutoModelForCausalLM.from_pretrained(tiny_phi).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_phi)
    budget = 4 * 64 * 2 * 2 * 32 * 4  # rows, columns, keys and values, layers, size, float32
    options = TransformersOptions(max_cache_bytes=budget, prompt_cache_bytes=0)
    model = TransformersModel(raw, tokenizer, None, options)
    expected = [alone(model, prompt) for prompt in PROMPTS]
    crowd, most = Crowd(model), 0
    for prompt in PROMPTS:
        crowd.ask(prompt)

    while crowd._running:
        crowd.step()
        most = max(most, model.memory_bytes() - model._weights_bytes)

    assert list(crowd.said.values()) == expected
    assert 0 < most <= budget


def test_one_answer_goes_on_however_small_the_budget_is(tiny_phi: Path) -> None:
    raw = AutoModelForCausalLM.from_pretrained(tiny_phi).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_phi)
    options = TransformersOptions(max_cache_bytes=1, prompt_cache_bytes=0)
    model = TransformersModel(raw, tokenizer, None, options)

    crowd = together(model, *PROMPTS)

    assert [len(said) for said in crowd.said.values()] == [12] * 6


def test_a_long_prompt_holds_up_neither_answers_nor_short_prompts(
    model: TransformersModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder, "READ_TOKENS", 4)
    monkeypatch.setattr(decoder, "READ_TOKENS_BESIDE_ANSWERS", 4)
    crowd = Crowd(model, new_tokens=10)
    running = crowd.ask((20, 21))
    crowd.step()
    long = crowd.ask(tuple(range(20, 120)))
    crowd.step()
    short = crowd.ask((30, 31, 32))
    begun = crowd.steps
    crowd.run()

    assert crowd.first_step[short] - begun <= 3
    assert crowd.first_step[running] == 1
    assert crowd.first_step[long] > begun + 10


def test_a_stream_of_short_prompts_does_not_starve_a_long_one(
    model: TransformersModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder, "READ_TOKENS", 4)
    monkeypatch.setattr(decoder, "READ_TOKENS_BESIDE_ANSWERS", 4)
    crowd = Crowd(model, new_tokens=2)
    long = crowd.ask(tuple(range(20, 60)))
    while long not in crowd.first_step:
        crowd.ask((30, 31, 32, 33))
        crowd.step()
        assert crowd.steps < 40


def test_leaving_while_a_prompt_is_read_frees_its_memory_at_once(
    model: TransformersModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder, "READ_TOKENS", 8)
    idle = model.memory_bytes()
    crowd = Crowd(model)
    numbers = [crowd.ask(tuple(range(20, 60 + n))) for n in range(3)]
    crowd.step()
    crowd.step()
    assert model.memory_bytes() > idle

    for number in numbers:
        crowd.leave(number)

    assert model.memory_bytes() == idle
    assert not model._decoder._turns


def test_one_of_a_group_may_leave_while_it_is_read(
    model: TransformersModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [tuple(range(20, 60 + n)) for n in range(3)]
    expected = [alone(model, prompt) for prompt in prompts]
    monkeypatch.setattr(decoder, "READ_TOKENS", 24)
    crowd = Crowd(model)
    numbers = [crowd.ask(prompt) for prompt in prompts]
    crowd.step()
    crowd.leave(numbers[1])
    crowd.run()

    assert [crowd.said[0], crowd.said[2]] == [expected[0], expected[2]]
    assert crowd.said[1] == []


async def test_an_error_that_is_kept_keeps_neither_its_generation_nor_tensors(
    tiny_phi: Path,
) -> None:
    config = EngineConfig(model=str(tiny_phi), device="cpu")
    engine = LocalEngine(config, lambda: open_model(config))
    await engine.load()
    model = engine._model()._model  # type: ignore[union-attr]
    tensors = []

    def fails(**_: Any) -> Any:
        activation = torch.zeros(5)
        tensors.append(weakref.ref(activation))
        raise RuntimeError("kernel fault")

    model.forward = fails
    generation = await engine.submit(GenerationRequest(prompt="The", max_new_tokens=2))
    with pytest.raises(LLMInferenceError) as failed:
        await generation.result()
    kept, error = weakref.ref(generation), failed.value
    del generation, failed
    error.with_traceback(None)
    await engine.close()
    gc.collect()

    assert kept() is None
    assert [tensor() for tensor in tensors] == [None] * len(tensors)
    assert "kernel fault" in str(error)
