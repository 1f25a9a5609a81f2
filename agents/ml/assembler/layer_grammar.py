"""The layer lists that always fit, as a grammar: what a language model may choose from.

A small model that writes layers freely gets none right; one that is kept to this grammar cannot
get one wrong: features, what makes them a vector, hidden layers, the output. Sizes of images
change in pools alone, of which there are no more than the smallest side allows; the streams of a
residual block keep their channels. Input sizes are left to the compiler.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from agents.ml.assembler.config import read_claims

_CHANNELS = (8, 16, 32, 64, 128)
_HIDDEN = (16, 32, 64, 128, 256, 512)
_KERNELS = ((1, 0), (3, 1), (5, 2))  # with the padding that keeps the size
_MAX_POOLS = 4
_RESIDUAL = '{"type": "Residual", "layers": ['
_FLAT_PIXELS = 1024  # more of them are averaged first, or the next layer is all the parameters


def layer_grammar(config: Mapping[str, Any]) -> str | None:
    """A Lark grammar of the `layers` that turn the config's input into its output.

    None where it has none: the output is not a vector of stated size, or the input neither a
    vector, nor a signal, image or volume with channels first, nor tokens of a stated number.

    Raises:
        ConfigError: name or shapes are missing or wrong.
    """
    _, input_shape, dtype, output_shape = read_claims(config)
    if output_shape is None or len(output_shape) != 1:
        return None
    vocabulary = config.get("vocab_size")
    if dtype == "int64" and len(input_shape) == 1 and vocabulary:
        rules = list(_token_rules())
    elif dtype == "int64" or len(input_shape) > len("NCDHW") - 1:
        return None
    elif len(input_shape) == 1:
        rules = ["features: hidden"]
    else:
        rules = list(_image_rules(*input_shape[1:]))
    out = _layer("Linear", last=True, out_features=output_shape[0])
    return "\n".join([f'start: "[" features hidden{{0,2}} {out} "]"', *rules, *_hidden_rules(), ""])


def _hidden_rules() -> Iterator[str]:
    yield f"hidden: linear {_layer('BatchNorm1d')}? act dropout?"
    yield _rule("linear", (_layer("Linear", out_features=width) for width in _HIDDEN))
    yield _rule("act", (_layer(name) for name in ("ReLU", "GELU", "SiLU", "Tanh")))
    yield _rule("dropout", (_layer("Dropout", p=p) for p in (0.1, 0.25, 0.5)))


def _token_rules() -> Iterator[str]:
    yield "features: embed read"
    yield _rule("embed", (_layer("Embedding", embedding_dim=width) for width in _HIDDEN[:4]))
    memories = [
        _layer(kind, keys={"output": "last"}, hidden_size=width)
        for kind in ("LSTM", "GRU")
        for width in _HIDDEN[1:5]
    ]
    yield _rule("read", [_layer("Mean", dim=1), *memories])


def _image_rules(*size: int) -> Iterator[str]:
    """For 1 to 3 dimensions beside the channels."""
    of = f"{len(size)}d"
    pools = min(_MAX_POOLS, min(size).bit_length() - 1)
    pixels = 1
    for side in size:
        pixels *= side
    yield f"features: stage (pool stage){{0,{pools}}} average{'?' * (pixels <= _FLAT_PIXELS)} flat"
    yield _rule("stage", (f"block{width}{{1,2}}" for width in _CHANNELS))
    for width in _CHANNELS:
        yield f"block{width}: conv{width} norm? act residual{width}?"
        yield _rule(f"conv{width}", (_conv(of, width, *kernel) for kernel in _KERNELS))
        body = f"conv{width} norm? {_layer('ReLU')} {_conv(of, width, 3, 1, last=True)}"
        yield f"residual{width}: {_text(_RESIDUAL)} {body} {_text(']}, ')}"
    yield f"norm: {_layer(f'BatchNorm{of}')}"
    yield _rule("pool", (_layer(f"{kind}Pool{of}", kernel_size=2) for kind in ("Max", "Avg")))
    sizes = [each for each in (1, 2, 4) if each <= min(size)]
    yield _rule("average", (_layer(f"AdaptiveAvgPool{of}", output_size=each) for each in sizes))
    yield f"flat: {_layer('Flatten')}"


def _conv(of: str, width: int, kernel: int, padding: int, *, last: bool = False) -> str:
    return _layer(f"Conv{of}", last=last, out_channels=width, kernel_size=kernel, padding=padding)


def _layer(
    kind: str, *, last: bool = False, keys: Mapping[str, Any] | None = None, **params: Any
) -> str:
    """One entry of the list, with a comma behind it unless it is the last."""
    entry = {"type": kind, **({"params": params} if params else {}), **(keys or {})}
    return _text(json.dumps(entry) + ("" if last else ", "))


def _text(literal: str) -> str:
    return json.dumps(literal)


def _rule(name: str, choices: Iterator[str] | list[str]) -> str:
    return f"{name}: {' | '.join(choices)}"
