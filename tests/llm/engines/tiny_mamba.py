"""A small random Mamba in a GGUF file: it remembers by a state and cannot take a token back."""

import random
from array import array
from math import prod
from pathlib import Path

from tests.llm.engines.tiny_gguf import WIDTH, Tensors, save_tiny_gguf

INNER, STATE, KERNEL, RANK = 64, 16, 4, 2


def save_tiny_mamba(path: Path, *, context_window: int = 1024) -> Path:
    return save_tiny_gguf(
        path,
        make_tensors=_tensors,
        general__architecture="mamba",
        mamba__context_length=context_window,
        mamba__embedding_length=WIDTH,
        mamba__feed_forward_length=0,
        mamba__attention__head_count=0,
        mamba__attention__layer_norm_rms_epsilon=1e-5,
        mamba__block_count=2,
        mamba__ssm__conv_kernel=KERNEL,
        mamba__ssm__inner_size=INNER,
        mamba__ssm__state_size=STATE,
        mamba__ssm__time_step_rank=RANK,
    )


def _tensors(tokens: list[str]) -> Tensors:
    dice = random.Random(0)

    def filled(value: float, *shape: int) -> tuple[tuple[int, ...], array]:
        return shape, array("f", [value] * prod(shape))

    def matrix(*shape: int, deviation: float = 0.3) -> tuple[tuple[int, ...], array]:
        return shape, array("f", (dice.gauss(0, deviation) for _ in range(prod(shape))))

    tensors = {
        "token_embd.weight": matrix(WIDTH, len(tokens), deviation=1.0),
        "output.weight": matrix(WIDTH, len(tokens), deviation=1.0),
        "output_norm.weight": filled(1.0, WIDTH),
    }
    for layer in range(2):
        tensors |= {
            f"blk.{layer}.{name}": tensor
            for name, tensor in {
                "attn_norm.weight": filled(1.0, WIDTH),
                "ssm_in.weight": matrix(WIDTH, 2 * INNER),
                "ssm_conv1d.weight": matrix(KERNEL, INNER),
                "ssm_conv1d.bias": filled(0.0, INNER),
                "ssm_x.weight": matrix(INNER, RANK + 2 * STATE),
                "ssm_dt.weight": matrix(RANK, INNER),
                "ssm_dt.bias": filled(0.1, INNER),
                "ssm_a": filled(-1.0, STATE, INNER),
                "ssm_d": filled(1.0, INNER),
                "ssm_out.weight": matrix(INNER, WIDTH),
            }.items()
        }
    return tensors
