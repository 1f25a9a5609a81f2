"""What the model is asked, and how long the engine takes."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from agents.llm.engines import Engine, Finished, GenerationRequest
from benchmarks.llm.sizes import Size


class Piece(NamedTuple):
    """A prompt, and how many tokens are to follow."""

    prompt: tuple[int, ...]
    new_tokens: int


Work = Sequence[Piece]


@dataclass
class Run:
    """How long a piece of work took, and what came of it."""

    seconds: float
    cpu_s: float
    finished: list[Finished]

    @property
    def tokens(self) -> int:
        return sum(len(one.token_ids) for one in self.finished)

    @property
    def first_token_s(self) -> list[float]:
        return [one.timing.first_token_s or 0.0 for one in self.finished if one.timing]


class Dice:
    """Prompts that are the same in each run of the benchmark."""

    def __init__(self, size: Size, vocab_size: int) -> None:
        self._random = random.Random(0)
        self._size = size
        self._vocab_size = vocab_size

    def prompt(self, length: int) -> tuple[int, ...]:
        return tuple(self._random.randrange(300, self._vocab_size) for _ in range(length))

    def heavy(self, answers: int) -> Work:
        """Decode-heavy: short prompts, long answers."""
        size = self._size
        return [Piece(self.prompt(size.prompt_tokens), size.new_tokens) for _ in range(answers)]

    def mixed(self, answers: int) -> Work:
        """Prompts and answers of many lengths."""
        choose = self._random.choice
        longest = self._size.new_tokens
        return [
            Piece(
                self.prompt(choose(self._size.lengths)),
                choose((longest // 4, longest // 2, longest)),
            )
            for _ in range(answers)
        ]


def request_of(piece: Piece) -> GenerationRequest:
    return GenerationRequest(
        prompt_ids=piece.prompt, max_new_tokens=piece.new_tokens, do_sample=False
    )


async def run(engine: Engine, work: Work) -> Run:
    """All at once."""
    begun, cpu = time.perf_counter(), time.process_time()
    generations = [await engine.submit(request_of(piece)) for piece in work]
    finished = await asyncio.gather(*(generation.result() for generation in generations))
    return Run(time.perf_counter() - begun, time.process_time() - cpu, finished)


async def one_by_one(engine: Engine, work: Work) -> Run:
    runs = [await run(engine, [piece]) for piece in work]
    return Run(
        sum(one.seconds for one in runs),
        sum(one.cpu_s for one in runs),
        [finished for one in runs for finished in one.finished],
    )


def generate(model: Any, work: Work) -> tuple[float, list[tuple[int, ...]]]:
    """By `generate` of transformers, one by one: seconds, and the answers."""
    answers = []
    begun = time.perf_counter()
    for piece in work:
        ids = torch.tensor([piece.prompt], device=model.device)
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=piece.new_tokens,
            do_sample=False,
            pad_token_id=0,
        )
        answers.append(tuple(out[0, len(piece.prompt) :].tolist()))
    return time.perf_counter() - begun, answers
