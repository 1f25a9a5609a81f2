"""What may be varied, for each kind of data. A recipe is one value for each knob that counts."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from agents.ml.selection.facts import Kind
from agents.research.researcher.knobs import Choice, Knob, Scale

Recipe = dict[str, Any]

_ADAPTIVE = ("AdamW", "Adam", "NAdam")
_CONVOLUTIONAL = ("conv", "residual")
_RECURRENT = ("gru", "lstm")
_LARGE = 16  # pixels a side, from which on the first layer may halve an image


@dataclass(frozen=True)
class Space:
    """The recipes of one kind of data. A knob may depend on those before it."""

    kind: Kind
    knobs: tuple[Knob, ...]

    def draw(self, random: Random) -> Recipe:
        """Return a recipe by chance."""
        return self._completed({}, random)

    def move(self, recipe: Recipe, random: Random) -> Recipe:
        """Return a recipe that differs in one or two knobs, and in what depends on these."""
        knobs = [knob for knob in self.knobs if knob.name in recipe and _can_move(knob)]
        moved = dict(recipe)
        for knob in random.sample(knobs, k=1 if random.random() < 0.5 else 2):  # noqa: PLR2004
            moved[knob.name] = knob.move(recipe[knob.name], random)
        return self._completed(moved, random)

    def cross(self, one: Recipe, other: Recipe, random: Random) -> Recipe:
        """Return a recipe that has each knob of one parent or of the other."""
        mixed = {}
        for knob in self.knobs:
            values = [parent[knob.name] for parent in (one, other) if knob.name in parent]
            if values:
                mixed[knob.name] = random.choice(values)
        return self._completed(mixed, random)

    def completed(self, given: Mapping[str, Any], random: Random) -> Recipe:
        """Return `given` with what is missing drawn, and without what does not count or fit."""
        fitting = {
            knob.name: given[knob.name]
            for knob in self.knobs
            if knob.name in given and knob.allows(given[knob.name])
        }
        return self._completed(fitting, random)

    def active(self, recipe: Mapping[str, Any]) -> Iterator[Knob]:
        """The knobs that count in `recipe`."""
        return (knob for knob in self.knobs if _counts(knob, recipe))

    def schema(self) -> dict[str, Any]:
        """Every knob as JSON Schema, flat; `completed` drops those that do not count."""
        return {
            "type": "object",
            "properties": {knob.name: knob.schema() for knob in self.knobs},
            "required": [knob.name for knob in self.knobs],
            "additionalProperties": False,
        }

    def chosen(self, choose: Callable[[Knob], Any]) -> Recipe:
        """Return what `choose` says of each knob that counts, in their order."""
        recipe: Recipe = {}
        for knob in self.knobs:
            if _counts(knob, recipe):
                recipe[knob.name] = choose(knob)
        return recipe

    def _completed(self, given: Mapping[str, Any], random: Random) -> Recipe:
        return self.chosen(
            lambda knob: given[knob.name] if knob.name in given else knob.draw(random)
        )


def space_for(kind: Kind, input_shape: tuple[int, ...] = (), samples: int = 1000) -> Space:
    """The space of a kind of data.

    Args:
        kind: of the data.
        input_shape: of one sample, without the batch; a small image allows fewer stages.
        samples: to learn from; few allow no large batches.
    """
    match kind:
        case "table":
            shape: tuple[Knob, ...] = _table()
        case "image":
            shape = _image(min(input_shape[1:]))
        case "text":
            shape = _text()
    return Space(kind, (*shape, *_training(kind, samples)))


def _table() -> tuple[Knob, ...]:
    return (
        Choice("family", ("mlp", "residual_mlp")),
        Choice("depth", (1, 2, 3, 4), is_ordered=True),
        Choice("width", (16, 32, 64, 128, 256), is_ordered=True),
        *_common(("none", "batch", "layer")),
        Choice("augmentation", ("none", "noise", "mixup")),
    )


def _image(side: int) -> tuple[Knob, ...]:
    stages = tuple(n for n in (1, 2, 3) if side // 2 ** (n - 1) >= 4)  # noqa: PLR2004  pixels left
    convolutional = {"family": _CONVOLUTIONAL}
    stem = (Choice("stem", ("full", "half"), when=convolutional),) if side >= _LARGE else ()
    return (
        Choice("family", ("mlp", *_CONVOLUTIONAL)),
        Choice("depth", (1, 2, 3), is_ordered=True, when={"family": ("mlp",)}),
        Choice("width", (64, 128, 256, 512), is_ordered=True, when={"family": ("mlp",)}),
        *stem,
        Choice("channels", (8, 16, 24, 32, 48), is_ordered=True, when=convolutional),
        Choice("stages", stages, is_ordered=True, when=convolutional),
        Choice("blocks", (1, 2), is_ordered=True, when=convolutional),
        Choice("kernel", (3, 5), is_ordered=True, when=convolutional),
        Choice("pool", ("max", "average"), when=convolutional),
        Choice("head", ("flatten", "average"), when=convolutional),
        *_common(("none", "batch")),
        Choice("augmentation", ("none", "shift", "affine", "noise", "cutout", "mixup")),
    )


def _text() -> tuple[Knob, ...]:
    return (
        Choice("tokenizer", ("BPE", "WordPiece", "CharLevel")),
        Choice(
            "vocabulary",
            (500, 1000, 2000, 4000, 8000),
            is_ordered=True,
            when={"tokenizer": ("BPE", "WordPiece")},
        ),
        Choice("length", (32, 64, 128), is_ordered=True),
        Choice("family", ("bag", "conv", *_RECURRENT)),
        Choice("embedding", (16, 32, 64, 128), is_ordered=True),
        Choice("width", (32, 64, 128), is_ordered=True, when={"family": ("conv", *_RECURRENT)}),
        Choice("kernel", (2, 3, 5), is_ordered=True, when={"family": ("conv",)}),
        Choice("depth", (0, 1), is_ordered=True),
        Choice("activation", ("relu", "gelu", "silu")),
        Choice("dropout", (0.0, 0.1, 0.25, 0.5), is_ordered=True),
        Choice("augmentation", ("none", "drop_tokens")),
    )


def _common(norms: tuple[str, ...]) -> tuple[Knob, ...]:
    return (
        Choice("activation", ("relu", "gelu", "silu", "tanh")),
        Choice("norm", norms),
        Choice("dropout", (0.0, 0.1, 0.25, 0.5), is_ordered=True),
    )


def _training(kind: Kind, samples: int) -> tuple[Knob, ...]:
    batches = tuple(size for size in (16, 32, 64, 128, 256) if size * 8 <= samples) or (16,)
    low = 1e-3 if kind == "text" else 2e-4
    return (
        Choice("optimizer", (*_ADAPTIVE, "SGD")),
        Scale("learning_rate", low, 3e-2, when={"optimizer": _ADAPTIVE}),
        Scale("sgd_learning_rate", 3e-3, 0.5, when={"optimizer": ("SGD",)}),
        Scale("weight_decay", 1e-6, 0.1),
        Choice("schedule", ("constant", "cosine", "one_cycle"), is_ordered=False),
        Choice("batch_size", batches, is_ordered=True),
        Choice("label_smoothing", (0.0, 0.05, 0.1), is_ordered=True),
    )


def _counts(knob: Knob, recipe: Mapping[str, Any]) -> bool:
    return all(recipe.get(name) in values for name, values in (knob.when or {}).items())


def _can_move(knob: Knob) -> bool:
    return isinstance(knob, Scale) or len(knob.options) > 1
