"""A small random Llama in a GGUF file, written without any library."""

import random
import struct
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.llm.engines.gguf_vocabulary import _BYTES

END = "<|endoftext|>"
WIDTH, LAYERS, HEADS, HIDDEN = 32, 2, 4, 64
_STRING, _ARRAY, _ALIGNMENT = 8, 9, 32
_MERGES = ["T h", "Th e", "Ġ b", "e n", "Ġb en"]


Tensors = dict[str, tuple[tuple[int, ...], array]]


def save_tiny_gguf(
    path: Path,
    *,
    context_window: int = 128,
    make_tensors: Callable[[list[str]], Tensors] | None = None,
    **changes: Any,
) -> Path:
    """It answers nonsense in ASCII and never ends by itself; each character is a token.

    Args:
        make_tensors: other weights than a Llama's.
        changes: metadata by key, where None leaves a key out; dots are written as two underscores.
    """
    tokens = [*_BYTES, *(merge.replace(" ", "") for merge in _MERGES), END]
    metadata: dict[str, Any] = {
        "general.architecture": "llama",
        "llama.context_length": context_window,
        "llama.embedding_length": WIDTH,
        "llama.block_count": LAYERS,
        "llama.feed_forward_length": HIDDEN,
        "llama.attention.head_count": HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": WIDTH // HEADS,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * (len(tokens) - 1) + [3],
        "tokenizer.ggml.merges": _MERGES,
        "tokenizer.ggml.eos_token_id": len(tokens) - 1,
        "tokenizer.ggml.bos_token_id": len(tokens) - 1,
        "tokenizer.ggml.add_bos_token": False,
    }
    metadata |= {key.replace("__", "."): value for key, value in changes.items()}
    shown = [token for token in metadata.items() if token[1] is not None]
    tensors = (make_tensors or _tensors)(tokens)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(shown))
    head += b"".join(_text(key) + _typed(value) for key, value in shown)
    data = b""
    for name, (shape, values) in tensors.items():
        head += _text(name) + struct.pack("<I", len(shape))
        head += struct.pack(f"<{len(shape)}QIQ", *shape, 0, len(data))
        data += _padded(values.tobytes())
    path.write_bytes(_padded(head) + data)
    return path


def _tensors(tokens: list[str]) -> Tensors:
    dice = random.Random(0)

    def matrix(columns: int, rows: int, deviation: float = 0.3) -> tuple[tuple[int, ...], array]:
        values = array("f", (dice.gauss(0, deviation) for _ in range(columns * rows)))
        return (columns, rows), values

    def ones() -> tuple[tuple[int, ...], array]:
        return (WIDTH,), array("f", [1.0] * WIDTH)

    tensors = {"token_embd.weight": matrix(WIDTH, len(tokens), 1.0), "output_norm.weight": ones()}
    shape, output = matrix(WIDTH, len(tokens), 1.0)
    for row, token in enumerate(tokens):
        if token == END or not all(0x20 <= _BYTES[c] < 0x7F for c in token):
            output[row * WIDTH : (row + 1) * WIDTH] = array("f", [0.0] * WIDTH)
    tensors["output.weight"] = shape, output
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"{block}{name}.weight"] = ones()
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensors[f"{block}{name}.weight"] = matrix(WIDTH, WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            tensors[f"{block}{name}.weight"] = matrix(WIDTH, HIDDEN)
        tensors[f"{block}ffn_down.weight"] = matrix(HIDDEN, WIDTH)
    return tensors


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _typed(value: Any) -> bytes:
    if isinstance(value, list):
        kind, each = (
            (_STRING, _text) if isinstance(value[0], str) else (5, struct.Struct("<i").pack)
        )
        return struct.pack("<IIQ", _ARRAY, kind, len(value)) + b"".join(map(each, value))
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _text(value)
    kind, form = {bool: (7, "?"), int: (4, "I"), float: (6, "f")}[type(value)]
    return struct.pack(f"<I{form}", kind, value)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGNMENT)
