"""The pieces a report is made of; Markdown and HTML each know how to show every one of them."""

from typing import NamedTuple

from agents.research.report.figures import Figure


class Prose(NamedTuple):
    text: str


class Failure(NamedTuple):
    """A step that failed, with its error as it was answered."""

    title: str
    error: str


class Tile(NamedTuple):
    """A headline figure."""

    label: str
    value: str
    note: str


class Tiles(NamedTuple):
    tiles: list[Tile]


class Table(NamedTuple):
    """`numeric` names the columns to align right, `best` the row to point out."""

    columns: list[str]
    rows: list[list[str]]
    numeric: frozenset[int] = frozenset()
    best: int | None = None


class Picture(NamedTuple):
    figure: Figure


class Pictures(NamedTuple):
    """Pictures that belong side by side where there is room."""

    figures: list[Figure]


class Code(NamedTuple):
    """Folded away under its title where the medium can."""

    title: str
    language: str
    text: str


class Tokens(NamedTuple):
    """The pieces a text falls into."""

    pieces: list[str]


class Continuation(NamedTuple):
    """A prompt and how a model went on."""

    prompt: str
    text: str


Block = Prose | Failure | Tiles | Table | Picture | Pictures | Code | Tokens | Continuation


class Section(NamedTuple):
    title: str
    blocks: list[Block]


class Document(NamedTuple):
    title: str
    subtitle: str
    sections: list[Section]
