"""What can go wrong between a model config and a model.

MLError (agents.ml.errors)
├── ConfigError
├── LayerError
│   ├── UnknownLayerError    no such layer type; its nearest names are suggested
│   └── MisfitError          names index, type, parameters and incoming shape
├── ModelScriptError         also what the gate says of code it does not let through
└── InexpressibleError       prose or a described block: a language model may write it
"""

from typing import Any

from agents.ml.errors import LayerError, MLError

_VALUE_CHARS = 60


class UnknownLayerError(LayerError):
    """No such layer type in torch.nn or among the streams, and no `module_path` to find it in."""


class InexpressibleError(MLError):
    """The config says it in words, which the compiler cannot read; a language model may."""


class MisfitError(LayerError):
    """A layer does not fit its input.

    Attributes:
        layer_type: as the config names it.
        params: as the config gives them, with what was inferred.
        incoming_shape: with the batch in front, as 2.
    """

    def __init__(
        self,
        problem: str,
        *,
        where: str,
        layer_type: str,
        params: dict[str, Any],
        incoming_shape: tuple[int, ...],
    ) -> None:
        given = ", ".join(f"{name}={_short(value)}" for name, value in params.items())
        shape = show_shape(incoming_shape)
        super().__init__(f"{layer_type}({given}) on shape {shape}: {problem}", where=where)
        self.layer_type = layer_type
        self.params = params
        self.incoming_shape = incoming_shape


def show_shape(shape: tuple[int, ...]) -> str:
    """Write a shape for people, its batch as B."""
    return f"({', '.join(['B', *map(str, shape[1:])])}{',' if len(shape) == 1 else ''})"


def _short(value: Any) -> str:
    text = getattr(value, "reference", None) or repr(value)
    return text if len(text) <= _VALUE_CHARS else f"{text[:_VALUE_CHARS]}..."
