"""Answers of a given form: always valid from any model, and right from a real one."""

import asyncio
from typing import Literal

from pydantic import BaseModel, Field

from agents.llm.engines import GenerationRequest
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.structured import (
    Grammar,
    ResultError,
    Vocabulary,
    grammar_of_type,
    vocabulary_of,
)
from benchmarks.llm.report import at_least
from benchmarks.llm.subject import Subject


class Person(BaseModel):
    name: str = Field(max_length=20)
    age: int = Field(ge=0, le=120)
    city: str = Field(max_length=20)


class Line(BaseModel):
    text: str
    mood: Literal["calm", "wild"]


class Poem(BaseModel):
    title: str = Field(min_length=1)
    lines: list[Line]
    stars: int = Field(ge=1, le=5)


class Reading(BaseModel):
    place: str | None
    values: dict[str, float]
    is_valid: bool


_FORMS = (Person, Poem, Reading)
_TRIES = 8
_NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ida", "Jack")
_CITIES = ("Berlin", "Paris", "London", "Madrid", "Rome", "Vienna", "Oslo", "Prague", "Lisbon")
PEOPLE = [
    Person(
        name=_NAMES[n % len(_NAMES)], age=18 + 7 * n % 60, city=_CITIES[(4 * n + 1) % len(_CITIES)]
    )
    for n in range(20)
]
_WORDINGS = (
    "{name} is {age} years old and lives in {city}.",
    "In {city} lives {name}, aged {age}.",
)


async def measure_forms(subject: Subject, *, is_real: bool) -> None:
    """Budgets from the smallest on, high temperatures; and what a real model finds in sentences."""
    vocabulary = vocabulary_of(subject.tokenizer)
    async with subject.engine(prompt_cache_bytes=0) as engine:
        valid, every = 0, 0
        for form in _FORMS:
            valid += await _valid(engine, grammar_of_type(form), vocabulary)
            every += _TRIES
        note = f"{valid} of {every}; tests/llm/structured has the broad suite"
        subject.report.add(
            "typed answers that are valid", 100 * valid / every, at_least(100), unit="%", note=note
        )
        if is_real:
            right = await _extracted(subject, engine, vocabulary)
            subject.report.add(
                f"facts found in {len(PEOPLE)} sentences", right, at_least(17), unit="exact"
            )


async def _valid(engine: LocalEngine, grammar: Grammar, vocabulary: Vocabulary) -> int:
    compiled = grammar.compile(vocabulary)
    budgets = [compiled.needed_tokens + 5 * extra for extra in range(_TRIES)]
    asked = [
        await engine.submit(
            GenerationRequest(prompt="Data:", max_new_tokens=budget, temperature=1.5, seed=budget),
            compiled.matcher(budget),
        )
        for budget in budgets
    ]
    texts = [finished.text for finished in await asyncio.gather(*(a.result() for a in asked))]
    return sum(_is_valid(grammar, text) for text in texts)


def _is_valid(grammar: Grammar, text: str) -> bool:
    try:
        grammar.parse(text)
    except ResultError:
        return False
    return True


async def _extracted(subject: Subject, engine: LocalEngine, vocabulary: Vocabulary) -> int:
    compiled = grammar_of_type(Person).compile(vocabulary)
    budget = compiled.needed_tokens + 40
    asked = []
    for number, person in enumerate(PEOPLE):
        sentence = _WORDINGS[number % 2].format(**person.model_dump())
        question = f"Extract name, age and city as JSON from this sentence: {sentence}"
        prompt = subject.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        request = GenerationRequest(prompt=prompt, max_new_tokens=budget, do_sample=False)
        asked.append(await engine.submit(request, compiled.matcher(budget)))
    answers = await asyncio.gather(*(each.result() for each in asked))
    found = [Person.model_validate_json(answer.text) for answer in answers]
    return sum(one == person for one, person in zip(found, PEOPLE, strict=True))
