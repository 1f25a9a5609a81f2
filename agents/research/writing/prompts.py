"""Prompts: a file each in the folder of the same name, with places for values."""

from functools import cache
from importlib.resources import files
from string import Template

ERROR_CHARS = 1_500


@cache
def _template(name: str) -> Template:
    return Template(files(__package__).joinpath("prompts", f"{name}.md").read_text("utf-8"))


def prompt(name: str, /, **values: object) -> str:
    """The text of `prompts/NAME.md` with `values` in their places.

    Raises:
        KeyError: a place has no value.
    """
    return _template(name).substitute(values)


def corrected(asked: str, problem: str) -> str:
    """The same question again, with what was wrong with the last answer."""
    return f"{asked}\n{prompt('correction', problem=problem[:ERROR_CHARS])}"
