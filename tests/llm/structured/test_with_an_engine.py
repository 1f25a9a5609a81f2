"""Grammars in the engine: typed answers of a random model, beside others that are free."""

import asyncio
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field
from transformers import AutoTokenizer

from agents.llm.engines import EngineConfig, FinishReason, GenerationRequest, create_engine
from agents.llm.engines.errors import InvalidRequestError
from agents.llm.frontend import LocalInference
from agents.llm.structured import Grammar, grammar_of_type, vocabulary_of
from tests.llm.structured.vocabularies import tokenizer
from tests.llm.tiny_phi import save_tiny_phi


class Mood(Enum):
    CALM = "calm"
    WILD = "wild"


class Line(BaseModel):
    text: str
    mood: Mood


class Poem(BaseModel):
    title: str = Field(min_length=1)
    lines: list[Line]
    stars: int = Field(ge=1, le=5)
    kind: Literal["ode", "haiku"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_phi(tmp_path_factory.mktemp("phi"), context_window=256)


async def test_every_typed_answer_of_a_random_model_is_valid_whoever_is_written_beside_it(
    model: Path,
) -> None:
    grammar: Grammar = grammar_of_type(Poem)
    engine = create_engine(EngineConfig(model=str(model), device="cpu"))
    try:
        await engine.load()
        vocabulary = vocabulary_of(AutoTokenizer.from_pretrained(model))
        compiled = grammar.compile(vocabulary)
        budgets = [compiled.needed_tokens + extra for extra in (0, 1, 7, 40) for _ in range(5)]
        typed = [
            await engine.submit(
                GenerationRequest(prompt="A poem:", max_new_tokens=budget, temperature=1.5, seed=n),
                compiled.matcher(budget),
            )
            for n, budget in enumerate(budgets)
        ]
        free = await engine.submit(
            GenerationRequest(prompt="Anything:", max_new_tokens=60, do_sample=False)
        )
        answers = await asyncio.gather(*(each.result() for each in typed), free.result())
        alone = await engine.submit(
            GenerationRequest(prompt="Anything:", max_new_tokens=60, do_sample=False)
        )

        assert (await alone.result()).token_ids == answers[-1].token_ids
    finally:
        await engine.close()

    for answer in answers[:-1]:
        poem = grammar.parse(answer.text)
        assert isinstance(poem, Poem)
        assert answer.reason in (FinishReason.STOP, FinishReason.LENGTH)


@pytest.mark.parametrize("is_by_engine", [False, True])
def test_a_model_whose_tokenizer_writes_spaces_of_its_own_is_refused(
    tmp_path: Path, is_by_engine: bool
) -> None:
    """Of WordPiece the engine showed `{ " title " : …`, which is no instance."""
    words = tokenizer("wordpiece")
    save_tiny_phi(tmp_path, vocab_size=len(words))
    words.save_pretrained(tmp_path)
    with LocalInference(tmp_path, device="cpu") as inference:
        inference.engine.configure(Mood)
        form: dict[str, Any] = (
            {"engine": inference.engine} if is_by_engine else {"output_type": Mood}
        )

        with pytest.raises(InvalidRequestError, match="not WordPiece"):
            inference("I am", **form).result()

        assert inference("I am", max_tokens=3).result()
