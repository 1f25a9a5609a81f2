"""What users of structured `generate` elsewhere reported; each is right here.

The reports: outlines 789, 1115, 1720; transformers-CFG 2, 49, 126; transformers 27676;
guidance 1322; vllm 8350; MiniOneRec 50.
"""

from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from pydantic import BaseModel, Field
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessor,
    PhiForCausalLM,
    TextIteratorStreamer,
)

from agents.llm.engines.errors import InvalidRequestError
from agents.llm.structured import BudgetTooSmallError, ConstraintError, grammar_of_choice
from agents.llm.structured.structuring import StructuringEngine, StructuringMixin

NEEDED = 22  # tokens of the shortest person


class Person(BaseModel):
    name: str = Field(max_length=20)
    age: int = Field(ge=0, le=150)


class Model(StructuringMixin, PhiForCausalLM):
    pass


@pytest.fixture
def tokenizer(tiny_phi: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_phi)


@pytest.fixture
def model(tiny_phi: Path, tokenizer: Any) -> Any:
    torch.manual_seed(0)
    loaded = Model.from_pretrained(tiny_phi)
    loaded.engine = StructuringEngine(tokenizer)
    loaded.engine.configure(Person, max_new_tokens=60)
    return loaded


def prompts(tokenizer: Any, *texts: str) -> Any:
    tokenizer.pad_token, tokenizer.padding_side = tokenizer.eos_token, "left"
    return tokenizer(list(texts), return_tensors="pt", padding=True)


def test_prompts_of_different_lengths_are_each_answered_with_an_instance(
    model: Any, tokenizer: Any
) -> None:
    model.generate(**prompts(tokenizer, "A", "The benefits of agents", "To be"), do_sample=True)

    assert [type(model.engine.result(row)) for row in range(3)] == [Person] * 3


def test_several_answers_to_one_prompt_are_each_an_instance(model: Any, tokenizer: Any) -> None:
    model.generate(**prompts(tokenizer, "A"), do_sample=True, num_return_sequences=4)

    assert len({model.engine.result(row).model_dump_json() for row in range(4)}) > 1


@pytest.mark.parametrize("more", [24, -100])
def test_a_model_may_know_more_or_fewer_tokens_than_the_tokenizer(
    model: Any, tokenizer: Any, more: int
) -> None:
    inputs = prompts(tokenizer, "0 1 2")
    model.resize_token_embeddings(len(tokenizer) + more)
    torch.nn.init.zeros_(model.lm_head.bias)

    inputs["input_ids"].clamp_(max=len(tokenizer) + min(more, 0) - 1)
    model.generate(**inputs, do_sample=True)

    assert isinstance(model.engine.result(), Person)


@pytest.mark.parametrize("do_sample", [True, False])
def test_what_else_forbids_the_needed_tokens_is_told_and_nothing_is_made_up(
    model: Any, tokenizer: Any, *, do_sample: bool
) -> None:
    brace = tokenizer.encode("{")

    with pytest.raises(ConstraintError, match="leave out no_repeat_ngram_size"):
        model.generate(**prompts(tokenizer, "A"), do_sample=do_sample, bad_words_ids=[brace])


def test_scores_that_are_no_numbers_are_told(model: Any) -> None:
    scores = torch.full((1, 400), torch.nan)

    with pytest.raises(ConstraintError, match="no numbers"):
        model.engine.process_logits(torch.tensor([[1, 2]]), scores)


def test_an_answer_that_is_complete_waits_for_longer_ones_whatever_else_is_wished(
    model: Any, tokenizer: Any
) -> None:
    texts = ["b", "a long text, which takes many more tokens than the other one"]
    model.engine.configure(grammar_of_choice(texts))

    model.generate(**prompts(tokenizer, *"ABCDEFGH"), do_sample=True, min_new_tokens=40)

    assert {model.engine.text(row) for row in range(8)} == set(texts)
    assert model.engine.is_finished


def test_a_tokenizer_that_was_saved_cutting_and_padding_spells_all_the_same(
    model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    tokenizer.backend_tokenizer.enable_truncation(max_length=4)
    tokenizer.backend_tokenizer.enable_padding(length=8)
    tokenizer.save_pretrained(tmp_path)
    model.engine = StructuringEngine(AutoTokenizer.from_pretrained(tmp_path))
    model.engine.configure(Person, max_new_tokens=NEEDED + 3)

    model.generate(torch.tensor([[5, 6, 7]]), do_sample=True)

    assert isinstance(model.engine.result(), Person)


@pytest.mark.parametrize("way", ["argument", "config"])
def test_the_answer_is_complete_within_the_limit_that_the_call_gives(
    model: Any, tokenizer: Any, way: str
) -> None:
    limit = NEEDED + 1
    given: dict[str, Any] = {"max_new_tokens": limit}
    if way == "config":
        given = {"generation_config": GenerationConfig(max_new_tokens=limit, eos_token_id=0)}
    inputs = prompts(tokenizer, "A")

    out = model.generate(**inputs, do_sample=True, temperature=1.5, **given)

    assert isinstance(model.engine.result(), Person)
    assert out.shape[1] - inputs["input_ids"].shape[1] <= limit + 1
    model.generate(**inputs, do_sample=True)
    assert model.engine.limit == 60  # the engine's own holds again


def test_a_limit_that_no_answer_fits_or_that_counts_the_prompt_is_refused(
    model: Any, tokenizer: Any
) -> None:
    with pytest.raises(BudgetTooSmallError):
        model.generate(**prompts(tokenizer, "A"), max_new_tokens=3)
    with pytest.raises(InvalidRequestError, match="give max_new_tokens"):
        model.generate(**prompts(tokenizer, "A"), max_length=90)


def test_a_token_that_somebody_else_forces_is_an_error_and_not_the_end_of_the_rules(
    model: Any, tokenizer: Any
) -> None:
    class Stubborn(LogitsProcessor):
        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            forced = torch.full_like(scores, -torch.inf)
            forced[:, tokenizer.encode("x")[0]] = 0.0
            return forced

    engine = model.engine
    prompt = prompts(tokenizer, "A")["input_ids"]
    scores = Stubborn()(prompt, engine.process_logits(prompt, torch.zeros(1, 400)))
    after = torch.cat([prompt, scores.argmax(dim=-1, keepdim=True)], dim=1)

    with pytest.raises(ConstraintError, match="may not follow"):
        engine.process_logits(after, torch.zeros(1, 400))


def test_what_is_streamed_out_of_generate_is_the_answer(model: Any, tokenizer: Any) -> None:
    streamer = TextIteratorStreamer(
        tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=60
    )
    given = {**prompts(tokenizer, "A"), "do_sample": True, "streamer": streamer}
    thread = Thread(target=model.generate, kwargs=given)
    thread.start()

    text = "".join(streamer)
    thread.join()

    assert text == model.engine.text()
    assert isinstance(model.engine.result(), Person)
