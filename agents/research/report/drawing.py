"""Drawings as SVG: what charts and trees are made of. Colours follow the reader's theme."""

import html
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib import resources

from agents.research.report.blocks import Drawing
from agents.research.report.plain import cut, on_one_line

COLOURS = 6
LETTER_PX = 7.0  # of 12 px, in a wide font; SVG cannot measure before it is drawn
BOLD_PX = 8.0

_SHAPES = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "M-3.5 -3.5h7v7h-7z",
    "M0 -5l5 5l-5 5l-5 -5z",
    "M0 -4.5l4.8 8h-9.6z",
    "M0 4.5l4.8 -8h-9.6z",
    "M-4.5 -1.5h3v-3h3v3h3v3h-3v3h-3v-3h-3z",
)


def drawing(
    name: str,
    title: str,
    description: str,
    size: tuple[float, float],
    parts: Iterable[str],
    *,
    is_tall: bool = False,
) -> Drawing:
    """Put `parts` on a sheet of `size`, width and height in px."""
    width, height = size
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" viewBox="0 0 {width:g} '
        f'{height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-labelledby="{name}-title {name}-description">'
        f'<title id="{name}-title">{_escaped(title)}</title>'
        f'<desc id="{name}-description">{_escaped(description)}</desc>{"".join(parts)}</svg>'
    )
    return Drawing(name, title, svg, is_tall)


def alone(drawn: Drawing) -> str:
    """The text of a file with the drawing, which brings its colours along."""
    head, mark, rest = drawn.svg.partition("<title")
    ground = '<rect width="100%" height="100%" style="fill: var(--d-ground)"/>'
    return f"{head}<style>{drawing_style()}</style>{ground}{mark}{rest}\n"


@cache
def drawing_style() -> str:
    """The style that every drawing of a page shares."""
    return (resources.files(__package__) / "drawing.css").read_text("utf-8")


def text(x: float, y: float, words: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{style}>{_escaped(words)}</text>'


def line(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>'


def mark(x: float, y: float, series: int, hint: str = "", *, is_hollow: bool = False) -> str:
    """A mark in the colour and of the shape of its series; `hint` shows under the pointer."""
    kind = "hollow" if is_hollow else "mark"
    shape = _SHAPES[series % COLOURS]
    told = f"<title>{_escaped(hint)}</title>" if hint else ""
    return (
        f'<path class="s{series % COLOURS} {kind}" d="{shape}" '
        f'transform="translate({x:.1f} {y:.1f})">{told}</path>'
    )


def cross(x: float, y: float, hint: str = "") -> str:
    """The mark of what failed."""
    told = f"<title>{_escaped(hint)}</title>" if hint else ""
    place = f"translate({x:.1f} {y:.1f})"
    return f'<path class="cross" d="M-4 -4L4 4M-4 4L4 -4" transform="{place}">{told}</path>'


def shortened(words: str, width_px: float, letter_px: float = LETTER_PX) -> str:
    """`words` on one line, cut where they would not fit."""
    most = max(1, int(width_px / letter_px))
    words = cut(on_one_line(words), most)
    while len(words) > 1 and _columns(words) > most:
        words = cut(words, len(words) - 1)
    return words


def _columns(words: str) -> int:
    """Its width in letters; those of Chinese, Japanese and Korean have that of two."""
    return len(words) + sum(unicodedata.east_asian_width(letter) in {"W", "F"} for letter in words)


def _escaped(words: str) -> str:
    return html.escape(on_one_line(words))
