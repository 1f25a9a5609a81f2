"""The transformers backend against `generate`: `python -m benchmarks.llm [--int8] [--threads N]`.

One random model of about 90M parameters; every figure is a ratio within this run.
"""

import argparse
import asyncio
import random
import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from agents.llm.engines import EngineConfig, GenerationRequest
from agents.llm.engines.int8 import quantize
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.options import TransformersOptions
from agents.llm.engines.transformers_model import TransformersModel

VOCAB_SIZE = 32_000
Work = list[tuple[tuple[int, ...], int]]  # prompt and new tokens


class NoTokenizer:
    """Nothing here is text."""

    model_max_length = 10**30
    all_special_ids = ()
    eos_token_id = None

    def convert_ids_to_tokens(self, ids: Any) -> list[str]:
        return []

    def decode(self, ids: list[int], **_: Any) -> str:
        return "x" * len(ids)


@dataclass
class Run:
    """How long a piece of work took, and when the first tokens came."""

    seconds: float
    first_token_s: list[float]
    total_s: list[float]


def build() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=640,
        intermediate_size=1792,
        num_hidden_layers=10,
        num_attention_heads=10,
        max_position_embeddings=2048,
        initializer_range=0.1,
    )
    model: Any = LlamaForCausalLM(config).eval()
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model


def prompts(rng: random.Random, lengths: list[int]) -> list[tuple[int, ...]]:
    return [tuple(rng.randrange(VOCAB_SIZE) for _ in range(n)) for n in lengths]


async def run(engine: LocalEngine, work: Work) -> Run:
    begun = time.perf_counter()
    generations = [
        await engine.submit(
            GenerationRequest(prompt_ids=prompt, max_new_tokens=new_tokens, do_sample=False)
        )
        for prompt, new_tokens in work
    ]
    finished = await asyncio.gather(*(generation.result() for generation in generations))
    timings = [f.timing for f in finished if f.timing is not None]
    return Run(
        time.perf_counter() - begun,
        [t.first_token_s or 0.0 for t in timings],
        [t.total_s for t in timings],
    )


async def one_by_one(engine: LocalEngine, work: Work) -> Run:
    runs = [await run(engine, [piece]) for piece in work]
    ends, at = [], 0.0
    for one in runs:
        at += one.seconds
        ends.append(at)
    return Run(at, [], ends)


def generate(model: Any, work: Work) -> float:
    begun = time.perf_counter()
    for prompt, new_tokens in work:
        ids = torch.tensor([prompt])
        model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=new_tokens, do_sample=False
        )
    return time.perf_counter() - begun


def engine_of(model: Any, **options: Any) -> LocalEngine:
    config = EngineConfig(model="random", device="cpu", max_active=32)
    wanted = TransformersOptions(**options)
    threads = torch.get_num_threads()

    def open_model() -> TransformersModel:
        torch.set_num_threads(threads)  # it counts for the thread that sets it
        return TransformersModel(model, NoTokenizer(), 2048, wanted)

    return LocalEngine(config, open_model)


async def measure(model: Any, *, int8: bool) -> None:
    rng = random.Random(0)
    single = [(prompt, 64) for prompt in prompts(rng, [32])]
    heavy = [(prompt, 64) for prompt in prompts(rng, [16] * 32)]
    lengths = [rng.choice([16, 64, 128, 200]) for _ in range(32)]
    mixed = [(prompt, rng.choice([16, 32, 64])) for prompt in prompts(rng, lengths)]
    engine = engine_of(model, prompt_cache_bytes=0)
    await run(engine, single)
    alone = min([(await run(engine, single)).seconds for _ in range(3)])
    by_generate = min(generate(model, single) for _ in range(3))
    row("one request ÷ generate", alone / by_generate, "≤ 1.05")
    baseline = engine
    if int8:
        quantize(model)
        engine = engine_of(model, prompt_cache_bytes=0)
        await run(engine, single)
    for name, work, goal in (("decode-heavy", heavy, "≥ 6"), ("mixed", mixed, "≥ 3")):
        sequence = await one_by_one(baseline, work)
        company = await run(engine, work)
        row(f"32 concurrent ÷ one at a time, {name}", sequence.seconds / company.seconds, goal)
        sooner = statistics.mean(sequence.total_s) / statistics.mean(company.first_token_s)
        row(f"mean first token sooner, {name}", sooner, "≥ 8")
    await engine.close()
    await prefix(model, rng)


async def prefix(model: Any, rng: random.Random) -> None:
    engine = engine_of(model)
    first, *others = prompts(rng, [410, 10, 10, 10])
    await run(engine, [(first[:400], 1)])
    cold = await run(engine, [(prompts(rng, [410])[0], 1)])
    warm = [await run(engine, [(first[:400] + other, 1)]) for other in others]
    sooner = cold.first_token_s[0] / statistics.mean(r.first_token_s[0] for r in warm)
    row("first token with 400 known tokens, sooner", sooner, "≥ 5")
    await engine.close()


def row(name: str, value: float, goal: str) -> None:
    print(f"{name:<50} {value:8.2f}  {goal}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--int8", action="store_true", help="8 bits against float32 one by one")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = build()
    size = sum(p.numel() for p in model.parameters()) / 1e6
    print(f"{size:.0f}M parameters, {arguments.threads} threads, torch {torch.__version__}")
    asyncio.run(measure(model, int8=arguments.int8))


if __name__ == "__main__":
    main()
