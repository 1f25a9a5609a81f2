"""The pieces a report is made of; Markdown and HTML each know how to show every one of them."""

from typing import NamedTuple

from agents.research.report.plain import cut

_CELL_CHARS = 500


class Prose(NamedTuple):
    text: str


class Headline(NamedTuple):
    """What was found, before everything else."""

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

    @property
    def shown(self) -> list[list[str]]:
        """The rows, each cell as far as somebody would read it."""
        return [[cut(cell, _CELL_CHARS) for cell in row] for row in self.rows]


class Drawing(NamedTuple):
    """A drawing as SVG, which takes its colours from `drawing.css`.

    Attributes:
        name: of its file, without an ending.
        title: for a caption.
        svg: the element, with a title and a description for those who cannot see it.
        is_tall: may be scrolled inside its frame.
    """

    name: str
    title: str
    svg: str
    is_tall: bool = False


class Drawings(NamedTuple):
    """Drawings that belong side by side where there is room."""

    drawings: list[Drawing]


class Diff(NamedTuple):
    """What changed, line by line, as a unified diff."""

    title: str
    text: str


class Code(NamedTuple):
    """Folded away under its title where the medium can, unless it is open."""

    title: str
    language: str
    text: str
    is_open: bool = False


class Tokens(NamedTuple):
    """The pieces a text falls into."""

    pieces: list[str]


class Continuation(NamedTuple):
    """A prompt and how a model went on."""

    prompt: str
    text: str


Block = (
    Prose
    | Headline
    | Failure
    | Tiles
    | Table
    | Drawing
    | Drawings
    | Diff
    | Code
    | Tokens
    | Continuation
)


class Section(NamedTuple):
    title: str
    blocks: list[Block]


class Document(NamedTuple):
    title: str
    subtitle: str
    sections: list[Section]
