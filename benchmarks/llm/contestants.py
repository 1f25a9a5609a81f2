"""Others that answer the same prompts by the same weights, each in a process of its own.

`python -m benchmarks.llm.contestants NAME` reads an order from its input as JSON, and prints what
came of each piece of work as JSON. What libraries print goes to stderr.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from agents.llm.engines import EngineConfig
from agents.llm.engines.local_engine import LocalEngine
from benchmarks.llm.work import Piece, Work, run

_PAGE_TOKENS = 64
_BATCH_TOKENS = 512

Answers = list[list[int]]
Answer = Callable[[Work], Answers]


class Order(NamedTuple):
    """What a contestant is to do.

    Attributes:
        works: of each, all pieces at once.
    """

    folder: str
    file: str | None
    dtype: str
    device: str
    threads: int
    works: list[Work]


class Outcome(NamedTuple):
    """What came of a piece of work."""

    seconds: float
    cpu_s: float
    answers: Answers

    @property
    def tokens(self) -> int:
        return sum(map(len, self.answers))


def padded(order: Order) -> Answer:
    """`generate` for a batch that is padded on the left; all wait for the longest answer."""
    import torch  # noqa: PLC0415  only where it is needed

    model, end = _model(order)

    def answer(work: Work) -> Answers:
        width = max(len(piece.prompt) for piece in work)
        ids = torch.zeros((len(work), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, piece in enumerate(work):
            ids[row, width - len(piece.prompt) :] = torch.tensor(piece.prompt)
            mask[row, width - len(piece.prompt) :] = 1
        longest = max(piece.new_tokens for piece in work)
        with torch.inference_mode():
            out = model.generate(
                ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=longest,
                do_sample=False,
                pad_token_id=0,
            )
        rows = out[:, width:].tolist()
        return [_until(row[: piece.new_tokens], end) for row, piece in zip(rows, work, strict=True)]

    return answer


def continuous(order: Order) -> Answer:
    """The continuous batching of transformers, which has one length for all answers."""
    model, end = _model(order)

    def answer(work: Work) -> Answers:
        from transformers import (  # noqa: PLC0415  only where it is needed
            ContinuousBatchingConfig,
            GenerationConfig,
        )

        longest = max(piece.new_tokens for piece in work)
        blocks = sum((len(piece.prompt) + longest) // _PAGE_TOKENS + 1 for piece in work)
        limits = ContinuousBatchingConfig(  # by default 90 % of the memory
            page_size=_PAGE_TOKENS, num_blocks=blocks, max_batch_tokens=_BATCH_TOKENS
        )
        settings = GenerationConfig(
            max_new_tokens=longest, do_sample=False, eos_token_id=end, pad_token_id=0
        )
        outputs = model.generate_batch(
            inputs=[list(piece.prompt) for piece in work],
            generation_config=settings,
            continuous_batching_config=limits,
            warmup=False,
        )
        found = sorted(outputs.values(), key=lambda out: int(out.request_id.split("_")[-1]))
        if len(found) != len(work) or any(out.error for out in found):
            raise RuntimeError(f"{len(found)} of {len(work)} answers: {[o.error for o in found]}")
        return [
            _until(list(out.generated_tokens)[: piece.new_tokens], end)
            for out, piece in zip(found, work, strict=True)
        ]

    return answer


def ours(order: Order) -> Answer:
    """The transformers backend of this project."""
    import torch  # noqa: PLC0415  only where it is needed

    from agents.llm.engines.transformers_model import open_model  # noqa: PLC0415  likewise

    config = EngineConfig(
        model=order.folder,
        dtype=order.dtype,
        device=order.device,
        options={"prompt_cache_bytes": 0},
    )

    def opened() -> Any:
        torch.set_num_threads(order.threads)
        return open_model(config)

    return _answers_of(LocalEngine(config, opened))


def llamacpp(order: Order) -> Answer:
    """The llama.cpp backend of this project, on the F32 file."""
    from agents.llm.engines.llamacpp_model import LlamaModel  # noqa: PLC0415  only here

    assert order.file is not None
    most = max(len(work) for work in order.works)
    longest = max(len(p.prompt) + p.new_tokens for work in order.works for p in work)
    config = EngineConfig(model=order.file, backend="llamacpp", max_active=most)
    path = Path(order.file)
    return _answers_of(
        LocalEngine(
            config,
            lambda: LlamaModel(
                path, context_window=longest, max_active=most, threads=order.threads
            ),
        )
    )


CONTESTANTS: dict[str, Callable[[Order], Answer]] = {
    "ours": ours,
    "padded": padded,
    "continuous": continuous,
    "llamacpp": llamacpp,
}


def _answers_of(engine: LocalEngine) -> Answer:
    runner = asyncio.Runner()

    def answer(work: Work) -> Answers:
        return [list(one.token_ids) for one in runner.run(run(engine, work)).finished]

    return answer


def _model(order: Order) -> tuple[Any, int]:
    import torch  # noqa: PLC0415  only where it is needed

    from benchmarks.llm.subject import load  # noqa: PLC0415  likewise

    torch.set_num_threads(order.threads)
    model, tokenizer = load(Path(order.folder), order.dtype, order.device)
    return model, tokenizer.eos_token_id


def _until(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end) + 1] if end in ids else ids


def main(name: str) -> None:
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as results:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        order = Order(*json.load(sys.stdin))
        works = [[Piece(tuple(prompt), new) for prompt, new in work] for work in order.works]
        answer = CONTESTANTS[name](order._replace(works=works))
        answer(works[0])  # what is done but once is not measured
        for work in works:
            begun, cpu = time.perf_counter(), time.process_time()
            answers = answer(work)
            outcome = (time.perf_counter() - begun, time.process_time() - cpu, answers)
            print(json.dumps(outcome), file=results, flush=True)
        results.flush()
        os._exit(0)  # threads of libraries may not end


if __name__ == "__main__":
    main(sys.argv[1])
