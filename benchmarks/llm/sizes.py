"""How much is measured: enough to tell, or just enough to see that everything runs."""

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Size:
    """Of a run.

    Attributes:
        model: settings of the random Llama.
        dtype: what it is saved and computed in.
        answers: how many at once, the most; a quarter of it is the other company.
        new_tokens: of an answer where all are equally long.
        prompt_tokens: of a prompt where all are equally long.
        lengths: of prompts in mixed company.
        sequential: answers out of a company that are also measured one at a time.
        known_tokens: of a beginning that has been read before.
        repeats: of what takes the least time out of several.
        about: how long a run takes, on two quiet cores.
    """

    model: dict[str, Any]
    dtype: str
    answers: int
    new_tokens: int
    prompt_tokens: int
    lengths: tuple[int, ...]
    sequential: int
    known_tokens: int
    repeats: int
    about: str


FULL = Size(
    model={
        "hidden_size": 640,
        "intermediate_size": 1792,
        "num_hidden_layers": 10,
        "num_attention_heads": 10,
    },
    dtype="float32",
    answers=32,
    new_tokens=64,
    prompt_tokens=16,
    lengths=(16, 64, 128, 200),
    sequential=8,
    known_tokens=400,
    repeats=3,
    about="10 minutes",
)
QUICK = Size(
    model={
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    },
    dtype="float32",
    answers=8,
    new_tokens=12,
    prompt_tokens=8,
    lengths=(8, 24, 40),
    sequential=2,
    known_tokens=64,
    repeats=1,
    about="half a minute",
)
LARGE = replace(  # 1.1B parameters, for a GPU
    FULL,
    model={
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
    },
    dtype="bfloat16",
    about="some minutes; nobody has tried it on a GPU yet",
)
