"""The model config, read strictly: each entry becomes one small frozen value.

The document's structure is `model_name`, `input_shape` (without the batch) and `layers`, each with
`type`, `params` and, for blocks of your own, `module_path`. On top of it:

    description     of the model: becomes its docstring; of a layer: becomes a comment
    input_dtype     "float32", or "int64" for tokens (the default when the first layer embeds)
    vocab_size      `num_embeddings` of Embedding layers that do not say
    output_shape    what must come out (without the batch); checked

    {"type": "LSTM", "params": {...}, "output": "last"}     or "sequence", the default
    {"type": X, "output": 0}                                which of several outputs goes on
    {"type": X, "name": "stem"}                             the attribute it becomes
    {"type": X, "save_as": "skip"}                          keep its output for Concat or Add
    {"type": "Concat", "from": ["skip"], "dim": 1}          with the current value, current first
    {"type": "Add", "from": ["skip"]}
    {"type": "Residual", "layers": [...], "shortcut": [...]}        body(x) + shortcut(x)
    {"type": "Branch", "branches": [[...], [...]], "merge": "concat", "dim": 1}    or "add", "mul"
    {"type": "Repeat", "times": 4, "layers": [...]}                 each with weights of its own
    {"type": "Sequential", "layers": [...]}
    {"type": "TransformerEncoder", "params": {"num_layers": 2,
        "encoder_layer": {"type": "TransformerEncoderLayer", "params": {"nhead": 4}}}}
"""

import difflib
import keyword
from collections.abc import Iterable, Mapping
from typing import Any

from agents.ml.assembler.entries import Branch, Entry, Layer, Merge, ModelConfig, Residual
from agents.ml.assembler.errors import InexpressibleError
from agents.ml.errors import ConfigError

MAX_LAYERS = 2_000
MAX_DEPTH = 24
MAX_RANK = 8
MAX_SIZE = 10**12
MERGES = ("concat", "add", "mul")
DTYPES = ("float32", "int64")

MODEL_KEYS = (
    *("model_name", "input_shape", "layers"),
    *("description", "input_dtype", "vocab_size", "output_shape"),
)
_LAYER_KEYS = ("type", "params", "module_path", "name", "output", "save_as", "description")
_TAKEN = {"self", "torch", "nn", "Tensor", "x", "super"}


def read_config(config: Mapping[str, Any]) -> ModelConfig:
    """Read a model config.

    Raises:
        ConfigError: a key is unknown, missing or has a wrong value; says which.
        InexpressibleError: there are words where layers should be.
    """
    if not isinstance(config, Mapping):
        raise ConfigError(f"must be an object, not {type(config).__name__}", where="model_config")
    if config.get("description") and not config.get("layers"):
        raise InexpressibleError("the model is described in words only", where="description")
    _refuse_unknown_keys(config, MODEL_KEYS, "model_config")
    for key in ("model_name", "input_shape", "layers"):
        if key not in config:
            raise ConfigError("is missing", where=key)
    layers = _Reader().entries(config["layers"], "layers", depth=0)
    if not layers:
        raise ConfigError("must hold at least one layer", where="layers")
    name, input_shape, input_dtype, output_shape = read_claims(config)
    return ModelConfig(
        model_name=name,
        input_shape=input_shape,
        layers=layers,
        description=_text(config.get("description", ""), "description"),
        input_dtype=input_dtype,
        vocab_size=_positive(config.get("vocab_size"), "vocab_size"),
        output_shape=output_shape,
    )


def read_claims(
    config: Mapping[str, Any],
) -> tuple[str, tuple[int, ...], str, tuple[int, ...] | None]:
    """Return name, input shape, input dtype and output shape (None if free), whatever the layers.

    Raises:
        ConfigError: one of them is missing or wrong, or the size of the vocabulary is wrong.
    """
    _positive(config.get("vocab_size"), "vocab_size")
    shape_out = config.get("output_shape")
    default_dtype = "int64" if _embeds_first(config.get("layers")) else "float32"
    return (
        _class_name(config.get("model_name")),
        _shape(config.get("input_shape"), "input_shape"),
        _one_of(config.get("input_dtype", default_dtype), DTYPES, "input_dtype"),
        None if shape_out is None else _shape(shape_out, "output_shape"),
    )


def _embeds_first(layers: Any) -> bool:
    first = layers[0] if isinstance(layers, list | tuple) and layers else None
    while isinstance(first, Mapping) and isinstance(first.get("layers"), list) and first["layers"]:
        first = first["layers"][0]
    return isinstance(first, Mapping) and first.get("type") in {"Embedding", "nn.Embedding"}


class _Reader:
    """Reads entries and counts them, so that no config can grow without end."""

    def __init__(self) -> None:
        self._count = 0

    def entries(self, raw: Any, where: str, depth: int) -> tuple[Entry, ...]:
        if not isinstance(raw, list | tuple):
            raise ConfigError(f"must be a list of layers, not {type(raw).__name__}", where=where)
        if depth > MAX_DEPTH:
            raise ConfigError(f"streams are nested more than {MAX_DEPTH} deep", where=where)
        read: list[Entry] = []
        for index, entry in enumerate(raw):
            read.extend(self._entry(entry, f"{where}[{index}]", depth))
        return tuple(read)

    def _entry(self, raw: Any, where: str, depth: int) -> Iterable[Entry]:
        self._count += 1
        if self._count > MAX_LAYERS:
            raise ConfigError(f"there are more than {MAX_LAYERS:,} layers", where=where)
        if isinstance(raw, str):
            raise InexpressibleError(f"a layer in words: {raw[:80]!r}", where=where)
        if not isinstance(raw, Mapping):
            raise ConfigError(f"must be an object, not {type(raw).__name__}", where=where)
        if "type" not in raw and raw.get("description"):
            words = str(raw["description"])
            raise InexpressibleError(f"a layer in words: {words[:80]!r}", where=where)
        kind = _text(raw.get("type", ""), f"{where}.type")
        if not kind:
            raise ConfigError("the layer has no type", where=where)
        if "module_path" not in raw and kind in _STREAMS:
            return _STREAMS[kind](self, raw, where, depth)
        return [_layer(raw, where)]

    def _sequential(self, raw: Mapping[str, Any], where: str, depth: int) -> Iterable[Entry]:
        _refuse_unknown_keys(raw, ("type", "layers", "description"), where)
        return self.entries(raw.get("layers"), f"{where}.layers", depth + 1)

    def _repeat(self, raw: Mapping[str, Any], where: str, depth: int) -> Iterable[Entry]:
        _refuse_unknown_keys(raw, ("type", "layers", "times", "description"), where)
        times = _positive(raw.get("times"), f"{where}.times")
        if times is None:
            raise ConfigError("is missing", where=f"{where}.times")
        repeated: list[Entry] = []
        for _ in range(times):  # the count of layers ends this, however large `times` is
            repeated.extend(self.entries(raw.get("layers"), f"{where}.layers", depth + 1))
            self._count += 1
            if self._count > MAX_LAYERS:
                raise ConfigError(f"there are more than {MAX_LAYERS:,} layers", where=where)
        return repeated

    def _residual(self, raw: Mapping[str, Any], where: str, depth: int) -> Iterable[Entry]:
        _refuse_unknown_keys(raw, ("type", "layers", "shortcut", "save_as", "description"), where)
        body = self.entries(raw.get("layers"), f"{where}.layers", depth + 1)
        if not body:
            raise ConfigError("a residual stream needs layers", where=f"{where}.layers")
        shortcut = self.entries(raw.get("shortcut", []), f"{where}.shortcut", depth + 1)
        return [Residual(where=where, body=body, shortcut=shortcut, save_as=_save_as(raw, where))]

    def _branch(self, raw: Mapping[str, Any], where: str, depth: int) -> Iterable[Entry]:
        known = ("type", "branches", "merge", "dim", "save_as", "description")
        _refuse_unknown_keys(raw, known, where)
        branches = raw.get("branches")
        if not isinstance(branches, list | tuple) or len(branches) < 2:  # noqa: PLR2004  two or more
            raise ConfigError("must be a list of at least two lists", where=f"{where}.branches")
        read = tuple(
            self.entries(branch, f"{where}.branches[{index}]", depth + 1)
            for index, branch in enumerate(branches)
        )
        merge = _one_of(raw.get("merge", "concat"), MERGES, f"{where}.merge")
        return [
            Branch(
                where=where,
                branches=read,
                merge=merge,
                dim=_integer(raw.get("dim", 1), f"{where}.dim"),
                save_as=_save_as(raw, where),
            )
        ]

    def _merge(self, raw: Mapping[str, Any], where: str, depth: int) -> Iterable[Entry]:  # noqa: ARG002  one shape for all streams
        known = ("type", "from", "dim", "save_as", "description")
        _refuse_unknown_keys(raw, known, where)
        sources = raw.get("from")
        if isinstance(sources, str):
            sources = [sources]
        if not isinstance(sources, list | tuple) or not sources:
            raise ConfigError("must name what was kept by save_as", where=f"{where}.from")
        return [
            Merge(
                where=where,
                how=str(raw["type"]).lower(),
                sources=tuple(_text(name, f"{where}.from") for name in sources),
                dim=_integer(raw.get("dim", 1), f"{where}.dim"),
                save_as=_save_as(raw, where),
            )
        ]


_STREAMS = {
    "Sequential": _Reader._sequential,  # noqa: SLF001  a table of the class's own methods
    "Repeat": _Reader._repeat,  # noqa: SLF001
    "Residual": _Reader._residual,  # noqa: SLF001
    "Branch": _Reader._branch,  # noqa: SLF001
    "Concat": _Reader._merge,  # noqa: SLF001
    "Add": _Reader._merge,  # noqa: SLF001
}
STREAM_TYPES = tuple(_STREAMS)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ", did you mean 'X'?" for what was likely meant, "" when nothing is near."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=2, cutoff=0.6)
    names = " or ".join(repr(by_lower[name]) for name in close)
    return f"; did you mean {names}?" if names else ""


def _layer(raw: Mapping[str, Any], where: str) -> Layer:
    _refuse_unknown_keys(raw, _LAYER_KEYS, where)
    params = raw.get("params")
    if not isinstance(params, Mapping | None):
        raise ConfigError(
            f"must be an object, not {type(params).__name__}", where=f"{where}.params"
        )
    output = raw.get("output", "sequence")
    if isinstance(output, bool) or not (isinstance(output, int) or output in {"sequence", "last"}):
        raise ConfigError(
            f'must be "sequence", "last" or a number, not {output!r}', where=f"{where}.output"
        )
    kind = str(raw["type"])
    return Layer(
        where=where,
        type=kind if raw.get("module_path") else kind.removeprefix("torch.").removeprefix("nn."),
        params=dict(params or {}),
        module_path=_text(raw.get("module_path", ""), f"{where}.module_path"),
        name=_identifier(raw.get("name", ""), f"{where}.name"),
        output=output,
        save_as=_save_as(raw, where),
        description=_text(raw.get("description", ""), f"{where}.description"),
    )


def _refuse_unknown_keys(raw: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in raw:
        if key not in known:
            hint = nearest(str(key), known) or f"; known keys: {', '.join(known)}"
            raise ConfigError(f"unknown key {key!r}{hint}", where=where)


def _class_name(name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise ConfigError(f"{name!r} is no name for a class", where="model_name")
    if name in _TAKEN or name.startswith("__") or not name.isascii():
        raise ConfigError(f"{name!r} cannot be the name of a model class", where="model_name")
    return name


def _identifier(name: Any, where: str) -> str:
    if name == "":
        return ""
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii():
        raise ConfigError(f"{name!r} is no Python name", where=where)
    if keyword.iskeyword(name) or name in _TAKEN or name.startswith("_"):
        raise ConfigError(f"{name!r} cannot be used as a name here", where=where)
    return name


def _save_as(raw: Mapping[str, Any], where: str) -> str:
    return _identifier(raw.get("save_as", ""), f"{where}.save_as")


def _shape(raw: Any, where: str) -> tuple[int, ...]:
    if not isinstance(raw, list | tuple) or not 0 < len(raw) <= MAX_RANK:
        raise ConfigError(
            f"must be a list of 1 to {MAX_RANK} sizes, without the batch", where=where
        )
    for size in raw:
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MAX_SIZE:
            raise ConfigError(
                f"{size!r:.40} is no size; sizes are integers from 1 to {MAX_SIZE:,}", where=where
            )
    return tuple(raw)


def _positive(raw: Any, where: str) -> int | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int) or raw < 1:
        raise ConfigError(f"must be an integer from 1, not {raw!r}", where=where)
    return raw


def _integer(raw: Any, where: str) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise ConfigError(f"must be an integer, not {raw!r}", where=where)
    return raw


def _text(raw: Any, where: str) -> str:
    if not isinstance(raw, str):
        raise ConfigError(f"must be a text, not {type(raw).__name__}", where=where)
    return raw


def _one_of(raw: Any, known: tuple[str, ...], where: str) -> str:
    if raw not in known:
        raise ConfigError(f"must be one of {', '.join(known)}, not {raw!r}", where=where)
    return str(raw)
