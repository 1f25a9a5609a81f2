"""Where a study keeps what, relative to the workspace."""

from typing import NamedTuple

from agents.research.researcher.recipes import tokenizer_of
from agents.research.researcher.space import Recipe


class Places(NamedTuple):
    """The folder of a study, and what lies in it."""

    folder: str

    @property
    def data(self) -> str:
        return f"{self.folder}/data"

    @property
    def corpus(self) -> str:
        return f"{self.data}/corpus.txt"

    def script(self, candidate: str) -> str:
        return f"{self.folder}/models/{candidate}.py"

    def tokenizer(self, recipe: Recipe) -> str:
        return f"{self.folder}/tokenizers/{tokenizer_name(recipe)}"


def tokenizer_name(recipe: Recipe) -> str:
    """A name for the tokenizer that a recipe wants."""
    return "-".join(str(value) for value in tokenizer_of(recipe).values())


def class_name(candidate: str) -> str:
    return candidate.upper()
