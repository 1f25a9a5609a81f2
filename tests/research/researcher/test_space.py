"""What may be varied, and what becomes of it."""

from pathlib import Path
from random import Random
from typing import get_args

import pytest

from agents.ml.assembler.jobs import assemble
from agents.ml.selection.facts import Kind
from agents.research.researcher.recipes import (
    architecture_of,
    model_config,
    starting_points,
    training_config,
)
from agents.research.researcher.space import space_for
from tests.research.researcher.world import problems_of

KINDS = get_args(Kind)
SHAPES: dict[str, tuple[int, ...]] = {"table": (13,), "image": (1, 28, 28), "text": ()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_recipe_by_chance_by_move_and_by_cross_may_be_tried(kind: Kind) -> None:
    space, random = space_for(kind, SHAPES[kind]), Random(0)
    recipe = other = space.draw(random)
    for _ in range(200):
        other = space.draw(random)
        recipe = space.move(space.cross(recipe, other, random), random)
        assert problems_of(space, recipe) == []
        assert problems_of(space, other) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_study_begins_with_may_be_tried(kind: Kind) -> None:
    space = space_for(kind, SHAPES[kind])
    for start in starting_points(kind):
        completed = space.completed(start, Random(0))
        assert problems_of(space, completed) == []
        assert start.items() <= completed.items()


@pytest.mark.parametrize("kind", KINDS)
def test_a_move_changes_little(kind: Kind) -> None:
    space, random = space_for(kind, SHAPES[kind]), Random(1)
    for _ in range(100):
        recipe = space.draw(random)
        moved = space.move(recipe, random)
        active = {knob.name: knob for knob in space.active(recipe)}
        changed = [name for name, value in recipe.items() if moved.get(name, value) != value]
        assert len(changed) <= 2
        assert changed or moved.keys() != recipe.keys() or len(active) == 0 or moved == recipe


def test_a_proposal_that_does_not_fit_is_mended_where_it_does_not() -> None:
    space = space_for("table", (13,))
    recipe = space.completed({"family": "mlp", "depth": 99, "channels": 8}, Random(0))
    assert recipe["family"] == "mlp"
    assert recipe["depth"] in (1, 2, 3, 4)
    assert "channels" not in recipe


def test_small_images_have_no_stage_without_pixels() -> None:
    by_name = {knob.name: knob for knob in space_for("image", (1, 8, 8)).knobs}
    assert by_name["stages"].options == (1, 2)
    assert "stem" not in by_name


@pytest.mark.parametrize("kind", KINDS)
def test_every_recipe_becomes_a_model_that_passes_the_gate(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space, random = space_for(kind, SHAPES[kind]), Random(2)
    recipes = [*starting_points(kind), *(space.draw(random) for _ in range(4))]
    for recipe in recipes:
        whole = space.completed(recipe, random)
        vocabulary = 300 if kind == "text" else None
        config = model_config(whole, "Tried", SHAPES[kind], 3, vocabulary)
        made = assemble({"model_config": config, "output_script_path": "m.py"}, lambda _: None)
        assert made["output_shape"] == [3]
        assert training_config(whole, 7)["epochs"] == 7


def test_the_code_of_a_model_does_not_depend_on_how_it_is_trained() -> None:
    space, random = space_for("image", (1, 8, 8)), Random(3)
    recipe = space.draw(random)
    trained = {"optimizer", "learning_rate", "sgd_learning_rate", "weight_decay", "batch_size"}
    trained |= {"schedule", "label_smoothing", "augmentation"}
    assert architecture_of(recipe).keys() == recipe.keys() - trained
