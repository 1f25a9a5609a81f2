"""Structured output in the `generate` of a real model, and in a loop of one's own."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel, Field
from transformers import AutoTokenizer, PhiForCausalLM

from agents.llm.engines.errors import InvalidRequestError
from agents.llm.structured import (
    BudgetTooSmallError,
    ConstraintError,
    grammar_of_choice,
)
from agents.llm.structured.structuring import StructuringEngine, StructuringMixin, argmax


class Person(BaseModel):
    name: str = Field(max_length=20)
    age: int = Field(ge=0, le=150)


class Model(StructuringMixin, PhiForCausalLM):
    pass


@pytest.fixture
def model(tiny_phi: Path) -> Any:
    torch.set_num_threads(1)
    loaded = Model.from_pretrained(tiny_phi)
    loaded.engine = StructuringEngine(AutoTokenizer.from_pretrained(tiny_phi))
    return loaded


@pytest.fixture
def prompt(tiny_phi: Path) -> torch.Tensor:
    return AutoTokenizer.from_pretrained(tiny_phi)("To be", return_tensors="pt").input_ids


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spare_tokens", [0, 3, 30])
def test_generate_answers_with_an_instance(
    model: Any, prompt: torch.Tensor, seed: int, spare_tokens: int
) -> None:
    torch.manual_seed(seed)
    needed = 22
    model.engine.configure(Person, max_new_tokens=needed + spare_tokens)

    model.generate(prompt, do_sample=True, temperature=1.5, top_k=0)

    assert isinstance(model.engine.result(), Person)


def test_generate_answers_each_row_of_a_batch(model: Any, prompt: torch.Tensor) -> None:
    model.engine.configure(grammar_of_choice(["yes", "no, never", "perhaps"]))
    torch.manual_seed(0)

    model.generate(prompt.repeat(6, 1), do_sample=True)

    assert {model.engine.text(row) for row in range(6)} <= {"yes", "no, never", "perhaps"}
    assert model.engine.is_finished


def test_greedy_generation_keeps_to_the_structure_twice(model: Any, prompt: torch.Tensor) -> None:
    model.engine.configure(list[bool], max_new_tokens=12)

    first = model.generate(prompt, do_sample=False)
    second = model.generate(prompt, do_sample=False)

    assert torch.equal(first, second)
    assert isinstance(model.engine.result(), list)


def test_without_an_engine_generate_is_the_model_s_own(model: Any, prompt: torch.Tensor) -> None:
    model.engine = None

    assert model.generate(prompt, do_sample=False, max_new_tokens=3).shape[1] == prompt.shape[1] + 3


def test_a_loop_of_one_s_own_chooses_with_sample(model: Any, prompt: torch.Tensor) -> None:
    engine = model.engine
    engine.configure(Person, max_new_tokens=60)
    ids = prompt
    while not engine.is_finished:
        scores = engine.process_logits(ids, model(ids).logits[:, -1])
        chosen = engine.sample(scores.log_softmax(dim=-1), argmax)
        ids = torch.cat([ids, chosen[:, None]], dim=1)

    assert engine.result() == Person.model_validate_json(engine.text())


def test_a_loop_may_add_forced_tokens_without_asking_the_model(
    model: Any, prompt: torch.Tensor
) -> None:
    engine = model.engine
    engine.configure(Person, max_new_tokens=60)
    ids, asked = prompt, 0
    while not engine.is_finished:
        scores = engine.process_logits(ids, model(ids).logits[:, -1])
        forced = engine.forced()
        if forced:
            ids = torch.cat([ids, torch.tensor([forced])], dim=1)
            engine.follow(ids)
            continue
        asked += 1
        ids = torch.cat([ids, engine.sample(scores.log_softmax(-1), argmax)[:, None]], dim=1)

    assert isinstance(engine.result(), Person)
    assert asked < ids.shape[1] - prompt.shape[1]


def test_beams_are_refused_by_name(model: Any, prompt: torch.Tensor) -> None:
    model.engine.configure(Person)

    with pytest.raises(InvalidRequestError, match="num_beams=3"):
        model.generate(prompt, num_beams=3)


def test_beams_of_the_model_s_own_are_refused_too(
    model: Any, prompt: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.engine.configure(Person)
    monkeypatch.setattr(model.generation_config, "num_beams", 2)

    with pytest.raises(InvalidRequestError, match="num_beams=2"):
        model.generate(prompt)


def test_a_budget_that_no_answer_fits_is_refused_at_once(model: Any) -> None:
    with pytest.raises(BudgetTooSmallError) as refused:
        model.engine.configure(Person, max_new_tokens=5)

    assert refused.value.needed_tokens > 5


def test_an_engine_without_a_structure_says_so(model: Any, prompt: torch.Tensor) -> None:
    with pytest.raises(ConstraintError, match="configure"):
        model.engine.process_logits(prompt, torch.zeros(1, 400))
