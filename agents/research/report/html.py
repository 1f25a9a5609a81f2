"""The report as one HTML file: styles and drawings inside, nothing fetched, nothing scripted."""

import html
import re
from functools import singledispatch
from importlib import resources
from typing import Any

from agents.research.report import blocks
from agents.research.report.drawing import drawing_style
from agents.research.report.plain import plain

_INNER_SPACE = re.compile(r"(?<=\d) (?=%|± \d)|(?<=±) (?=\d)")

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>{subtitle}</p>
<nav>{contents}</nav>
</header>
<main>
{sections}
</main>
</body>
</html>
"""


def to_html(document: blocks.Document) -> str:
    """The page, with the drawings in it."""
    style = (resources.files(__package__) / "report.css").read_text("utf-8") + drawing_style()
    sections = [_section(section) for section in document.sections]
    links = [
        f'<a href="#{_anchor(section.title)}">{_escaped(section.title)}</a>'
        for section in document.sections
    ]
    return _PAGE.format(
        title=_escaped(document.title),
        subtitle=_escaped(document.subtitle),
        style=style,
        contents=" ".join(links),
        sections="\n".join(sections),
    )


def _section(section: blocks.Section) -> str:
    body = "\n".join(_show(block) for block in section.blocks)
    return (
        f'<section id="{_anchor(section.title)}">\n<h2>{_escaped(section.title)}</h2>\n'
        f"{body}\n</section>"
    )


@singledispatch
def _show(block: Any) -> str:
    raise TypeError(f"no HTML for {type(block).__name__}")


@_show.register
def _(block: blocks.Prose) -> str:
    return f"<p>{_told(block.text)}</p>"


@_show.register
def _(block: blocks.Headline) -> str:
    return f'<p class="headline">{_told(block.text)}</p>'


@_show.register
def _(block: blocks.Failure) -> str:
    return (
        f'<aside class="failure"><strong>Failed: {_escaped(block.title)}</strong>'
        f"<pre>{_escaped(block.error)}</pre></aside>"
    )


@_show.register
def _(block: blocks.Tiles) -> str:
    tiles = [
        f'<div class="tile"><div class="label">{_escaped(tile.label)}</div>'
        f'<div class="value">{_told(tile.value)}</div>'
        f'<div class="note">{_told(tile.note)}</div></div>'
        for tile in block.tiles
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


@_show.register
def _(block: blocks.Table) -> str:
    head = "".join(
        f'<th scope="col"{_number(block, i)}>{_escaped(column)}</th>'
        for i, column in enumerate(block.columns)
    )
    rows = [
        _row(block, cells, is_best=index == block.best) for index, cells in enumerate(block.shown)
    ]
    name = _escaped(f"Table: {', '.join(block.columns)}")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">'
        f"<table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


@_show.register
def _(block: blocks.Drawing) -> str:
    frame = "tall scroll" if block.is_tall else "scroll"
    name = _escaped(block.title)
    return (
        f'<figure class="{block.name}"><div class="{frame}" tabindex="0" role="region" '
        f'aria-label="{name}">{block.svg}</div><figcaption>{name}</figcaption></figure>'
    )


@_show.register
def _(block: blocks.Drawings) -> str:
    return f'<div class="figures">{"".join(map(_show, block.drawings))}</div>'


@_show.register
def _(block: blocks.Diff) -> str:
    lines = [f"<span{_kind_of(line)}>{_escaped(line)}\n</span>" for line in block.text.splitlines()]
    return (
        f"<details open><summary>{_escaped(block.title)}</summary>"
        f'<pre class="diff"><code>{"".join(lines)}</code></pre></details>'
    )


@_show.register
def _(block: blocks.Code) -> str:
    return (
        f"<details{' open' if block.is_open else ''}><summary>{_escaped(block.title)}</summary>"
        f"<pre><code>{_escaped(block.text)}</code></pre></details>"
    )


@_show.register
def _(block: blocks.Tokens) -> str:
    pieces = [f"<span>{_escaped(piece)}</span>" for piece in block.pieces]
    return f'<pre class="tokens">{"".join(pieces)}</pre>'


@_show.register
def _(block: blocks.Continuation) -> str:
    return f'<pre class="continuation"><b>{_escaped(block.prompt)}</b>{_escaped(block.text)}</pre>'


def _row(block: blocks.Table, cells: list[str], *, is_best: bool) -> str:
    opening = '<tr class="best">' if is_best else "<tr>"
    return f"{opening}{_cells(block, cells)}</tr>"


def _cells(block: blocks.Table, cells: list[str]) -> str:
    return "".join(f"<td{_number(block, i)}>{_told(cell)}</td>" for i, cell in enumerate(cells))


def _kind_of(line: str) -> str:
    """The class of a diff's line."""
    kinds = {"+++": "file", "---": "file", "@@": "hunk", "+": "added", "-": "removed"}
    kind = next((kind for start, kind in kinds.items() if line.startswith(start)), "")
    return f' class="{kind}"' if kind else ""


def _number(block: blocks.Table, column: int) -> str:
    return ' class="number"' if column in block.numeric else ""


def _told(text: str) -> str:
    """Words and figures; no line ends between a number and what belongs to it."""
    return _INNER_SPACE.sub("&nbsp;", _escaped(text))


def _escaped(text: str) -> str:
    return html.escape(plain(text))


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")
