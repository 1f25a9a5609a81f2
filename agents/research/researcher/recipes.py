"""From a recipe to what the assembler and the trainer take, and the recipes to begin with."""

from typing import Any

from agents.ml.selection.facts import Kind
from agents.research.researcher.space import Recipe

Layers = list[dict[str, Any]]

_ACTIVATIONS = {"relu": "ReLU", "gelu": "GELU", "silu": "SiLU", "tanh": "Tanh"}
_TOKENIZER_KNOBS = ("tokenizer", "vocabulary")
_ARCHITECTURE_KNOBS = (
    *("family", "depth", "width", "channels", "stages", "blocks", "kernel", "pool", "head"),
    "stem",
    *("activation", "norm", "dropout", "length", "embedding", *_TOKENIZER_KNOBS),
)
_MAX_GRADIENT_NORM = 5.0


def architecture_of(recipe: Recipe) -> Recipe:
    """The part of a recipe that decides the model's code."""
    return {name: recipe[name] for name in _ARCHITECTURE_KNOBS if name in recipe}


def tokenizer_of(recipe: Recipe) -> Recipe:
    """The part of a recipe that decides the tokenizer; empty where there is no text."""
    return {name: recipe[name] for name in _TOKENIZER_KNOBS if name in recipe}


def tokenizer_config(recipe: Recipe, corpus: str) -> dict[str, Any]:
    """The tokenizer, as the tokenizer manager takes it; a CharLevel one has every character."""
    return {
        "type": recipe["tokenizer"],
        "vocab_size": recipe.get("vocabulary", 1000),
        "data_files": [corpus],
        "special_tokens": ["[PAD]", "[UNK]"],
        "min_frequency": 2,
    }


def model_config(
    recipe: Recipe,
    name: str,
    input_shape: tuple[int, ...],
    outputs: int,
    vocab_size: int | None = None,
) -> dict[str, Any]:
    """The architecture, as the assembler takes it."""
    config: dict[str, Any] = {
        "model_name": name,
        "description": describe(architecture_of(recipe)),
        "input_shape": list(input_shape),
        "output_shape": [outputs],
        "layers": [*_features(recipe, input_shape), _layer("Linear", out_features=outputs)],
    }
    if vocab_size is not None:
        config |= {"vocab_size": vocab_size, "input_shape": [recipe["length"]]}
    return config


def training_config(recipe: Recipe, epochs: int) -> dict[str, Any]:
    """How the model is trained: keys and values of the full trainer's config."""
    rate = recipe["sgd_learning_rate" if recipe["optimizer"] == "SGD" else "learning_rate"]
    params: dict[str, Any] = {"lr": rate, "weight_decay": recipe["weight_decay"]}
    if recipe["optimizer"] == "SGD":
        params |= {"momentum": 0.9, "nesterov": True}
    return {
        "epochs": epochs,
        "batch_size": recipe["batch_size"],
        "optimizer": {"type": recipe["optimizer"], "params": params},
        "scheduler": _scheduler(recipe["schedule"], rate),
        "label_smoothing": recipe["label_smoothing"],
        "gradient_clip_norm": _MAX_GRADIENT_NORM,
        "augmentation": recipe["augmentation"],
    }


def describe(recipe: Recipe) -> str:
    """A recipe in one line."""
    return ", ".join(f"{name} {value}" for name, value in recipe.items())


def starting_points(kind: Kind) -> tuple[Recipe, ...]:
    """What is known to work on such data, before anything was tried on these."""
    sure = {
        "activation": "relu",
        "optimizer": "AdamW",
        "learning_rate": 3e-3,
        "weight_decay": 0.01,
        "schedule": "one_cycle",
        "batch_size": 32,
        "label_smoothing": 0.0,
        "augmentation": "none",
    }
    match kind:
        case "table":
            plain = {"family": "mlp", "depth": 1, "width": 128, "norm": "none", "dropout": 0.1}
            deep = {"family": "residual_mlp", "depth": 2, "width": 64, "norm": "batch"}
            return sure | plain, sure | deep | {"dropout": 0.25, "augmentation": "noise"}
        case "image":
            conv = {"channels": 24, "stages": 2, "blocks": 1, "kernel": 3, "pool": "max"}
            conv |= {"norm": "batch", "dropout": 0.1, "stem": "half", "head": "flatten"}
            sure |= {"learning_rate": 5e-3}
            return (
                sure | conv | {"family": "residual", "augmentation": "noise"},
                sure | conv | {"family": "conv", "augmentation": "affine"},
                sure
                | {"family": "mlp", "depth": 2, "width": 256, "norm": "batch", "dropout": 0.25},
            )
        case "text":
            read = {"tokenizer": "BPE", "vocabulary": 4000, "length": 128, "depth": 0}
            read |= {"dropout": 0.25, "embedding": 64, "augmentation": "drop_tokens"}
            return (
                sure | read | {"family": "bag"},
                sure | read | {"family": "conv", "width": 128, "kernel": 3},
                sure | read | {"family": "gru", "width": 64},
            )


def _features(recipe: Recipe, input_shape: tuple[int, ...]) -> Layers:
    match recipe["family"]:
        case "mlp" | "residual_mlp":
            flat = [_layer("Flatten")] if len(input_shape) > 1 else []
            return flat + _dense(recipe)
        case "conv" | "residual" if "channels" in recipe:
            return _stages(recipe)
        case _:
            return _reader(recipe)


def _dense(recipe: Recipe) -> Layers:
    block = [
        _layer("Linear", out_features=recipe["width"]),
        *_norm(recipe, vector=True),
        _activation(recipe),
        *_dropout(recipe),
    ]
    if recipe["family"] == "mlp":
        return block * int(recipe["depth"])
    residual = [{"type": "Residual", "layers": block}] * recipe["depth"]
    return [_layer("Linear", out_features=recipe["width"]), *residual]


def _stages(recipe: Recipe) -> Layers:
    layers: Layers = []
    for stage in range(recipe["stages"]):
        channels = recipe["channels"] * 2**stage
        if stage:
            pool = "MaxPool2d" if recipe["pool"] == "max" else "AvgPool2d"
            layers.append(_layer(pool, kernel_size=2))
        layers += _block(recipe, channels, stride=2 if _halves(recipe, stage) else 1)
        for _ in range(recipe["blocks"] - 1):
            again = _block(recipe, channels)
            is_residual = recipe["family"] == "residual"
            layers += [{"type": "Residual", "layers": again}] if is_residual else again
        if recipe["family"] == "residual" and recipe["blocks"] == 1:
            layers.append({"type": "Residual", "layers": _block(recipe, channels)})
    if recipe["head"] == "average":
        layers.append(_layer("AdaptiveAvgPool2d", output_size=1))
    return [*layers, _layer("Flatten"), *_dropout(recipe)]


def _halves(recipe: Recipe, stage: int) -> bool:
    return stage == 0 and recipe.get("stem") == "half"


def _block(recipe: Recipe, channels: int, stride: int = 1) -> Layers:
    kernel = recipe["kernel"]
    sizes: dict[str, Any] = {
        "out_channels": channels,
        "kernel_size": kernel,
        "padding": kernel // 2,
    }
    return [
        _layer("Conv2d", **sizes, **({"stride": stride} if stride > 1 else {})),
        *_norm(recipe, vector=False),
        _activation(recipe),
    ]


def _reader(recipe: Recipe) -> Layers:
    """Tokens to one vector; texts are padded in front, so that the last step has read them."""
    layers = [_layer("Embedding", embedding_dim=recipe["embedding"], padding_idx=0)]
    match recipe["family"]:
        case "bag":
            layers.append(_layer("Mean", dim=1))
        case "conv":
            conv = _layer("Conv1d", out_channels=recipe["width"], kernel_size=recipe["kernel"])
            layers += [_layer("Permute", dims=[0, 2, 1]), conv, _activation(recipe)]
            layers.append(_layer("Max", dim=2))
        case recurrent:
            memory = _layer(recurrent.upper(), hidden_size=recipe["width"], batch_first=True)
            layers.append(memory | {"output": "last"})
    layers += _dropout(recipe)
    if recipe["depth"]:
        layers += [_layer("Linear", out_features=64), _activation(recipe), *_dropout(recipe)]
    return layers


def _norm(recipe: Recipe, *, vector: bool) -> Layers:
    match recipe["norm"]:
        case "batch":
            return [_layer("BatchNorm1d" if vector else "BatchNorm2d")]
        case "layer":
            return [_layer("LayerNorm", normalized_shape=recipe["width"])]
        case _:
            return []


def _dropout(recipe: Recipe) -> Layers:
    return [_layer("Dropout", p=recipe["dropout"])] if recipe["dropout"] else []


def _activation(recipe: Recipe) -> dict[str, Any]:
    return _layer(_ACTIVATIONS[recipe["activation"]])


def _layer(type_: str, **params: Any) -> dict[str, Any]:
    return {"type": type_, "params": params} if params else {"type": type_}


def _scheduler(name: str, rate: float) -> dict[str, Any] | None:
    match name:
        case "cosine":
            return {"type": "WarmupCosineLR", "params": {}}
        case "one_cycle":
            return {"type": "OneCycleLR", "params": {"max_lr": rate, "pct_start": 0.25}}
        case _:
            return None
