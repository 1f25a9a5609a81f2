"""A small evolutionary search: local moves around the best, crosses of them, and strangers."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from agents.research.researcher.space import Recipe, Space

_STRANGERS = 0.15
_CROSSES = 0.25
_PARENTS = 6
_TRIES = 20


class Proposal(NamedTuple):
    recipe: Recipe
    parents: tuple[str, ...]
    why: str


def propose_at_random(space: Space, tried: list[Recipe], random: Random) -> Proposal:
    """A recipe by chance that was not tried."""
    return Proposal(_new(lambda: space.draw(random), tried), (), "drawn by chance")


def propose_by_search(
    space: Space, ranked: list[tuple[str, Recipe]], tried: list[Recipe], random: Random
) -> Proposal:
    """A relative of the best that was not tried, or now and then a stranger.

    Args:
        space: of all recipes.
        ranked: names and recipes of what was measured, the best first.
        tried: every recipe there is, measured or not.
        random: decides.
    """
    parents = ranked[:_PARENTS]
    dice = random.random()
    if not parents or dice < _STRANGERS:
        recipe = _new(lambda: space.draw(random), tried)
        return Proposal(recipe, (), "a stranger, to look elsewhere")
    (name, best) = _favouring_the_first(parents, random)
    if dice < _STRANGERS + _CROSSES and len(parents) > 1:
        other_name, other = random.choice([pair for pair in parents if pair[0] != name])
        recipe = _new(lambda: space.cross(best, other, random), tried, space, random)
        return Proposal(recipe, (name, other_name), f"{name} crossed with {other_name}")
    recipe = _new(lambda: space.move(best, random), tried)
    return Proposal(recipe, (name,), f"{name} with {_changes(best, recipe)}")


def _favouring_the_first(parents: list[tuple[str, Recipe]], random: Random) -> tuple[str, Recipe]:
    return random.choices(parents, weights=[1 / (rank + 1) for rank in range(len(parents))])[0]


def _new(
    draw: Callable[[], Recipe],
    tried: list[Recipe],
    space: Space | None = None,
    random: Random | None = None,
) -> Recipe:
    """What `draw` gives, again while that was tried; a cross of equals is moved a little."""
    recipe = draw()
    for _ in range(_TRIES):
        if recipe not in tried:
            break
        recipe = space.move(recipe, random) if space and random else draw()
    return recipe


def _changes(old: Recipe, new: Recipe) -> str:
    changed = [f"{name} {value}" for name, value in new.items() if old.get(name) != value]
    return ", ".join(changed) or "nothing changed"
