"""The report as Markdown, readable as plain text too."""

import html
import re
from functools import singledispatch

from agents.research.report import blocks
from agents.research.report.plain import on_one_line, plain

_SHORTEST_FENCE = 3
_MARKUP = re.compile(r"[\\`*_\[\]|~$]")
_BLOCK = re.compile(r"^(\d*)([-+=.)#])(?=[-+=#]*(?:\s|$))")  # begins a list, a heading or a rule


def drawing_path(drawing: blocks.Drawing) -> str:
    """Where the drawing's file lies, relative to the report."""
    return f"figures/{drawing.name}.svg"


def to_markdown(document: blocks.Document) -> str:
    parts = [f"# {_escaped(document.title)}", _paragraph(document.subtitle)]
    for section in document.sections:
        parts.append(f"## {_escaped(section.title)}")
        parts += [_show(block) for block in section.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


@singledispatch
def _show(block: object) -> str:
    raise TypeError(f"no Markdown for {type(block).__name__}")


@_show.register
def _(block: blocks.Prose) -> str:
    return _paragraph(block.text)


@_show.register
def _(block: blocks.Headline) -> str:
    return f"**{_escaped(block.text)}**"


@_show.register
def _(block: blocks.Failure) -> str:
    quoted = _fenced(block.error).replace("\n", "\n> ")
    return f"> **Failed: {_escaped(block.title)}**\n>\n> {quoted}"


@_show.register
def _(block: blocks.Tiles) -> str:
    return "\n".join(
        f"- **{_escaped(tile.value)}** {_escaped(tile.label)} ({_escaped(tile.note)})"
        for tile in block.tiles
    )


@_show.register
def _(block: blocks.Table) -> str:
    rule = ["---:" if i in block.numeric else ":---" for i in range(len(block.columns))]
    rows = [[_escaped(column) for column in block.columns], rule]
    for index, cells in enumerate(block.shown):
        escaped = [_escaped(cell) for cell in cells]
        is_best = index == block.best
        rows.append([f"**{cell}**" if is_best and cell else cell for cell in escaped])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


@_show.register
def _(block: blocks.Drawing) -> str:
    return f"![{_escaped(block.title)}]({drawing_path(block)})"


@_show.register
def _(block: blocks.Drawings) -> str:
    return "\n\n".join(_show(drawing) for drawing in block.drawings)


@_show.register
def _(block: blocks.Diff) -> str:
    return _show(blocks.Code(block.title, "diff", block.text))


@_show.register
def _(block: blocks.Code) -> str:
    title = html.escape(on_one_line(block.title), quote=False)
    fenced = _fenced(block.text, block.language)
    return f"<details><summary>{title}</summary>\n\n{fenced}\n\n</details>"


@_show.register
def _(block: blocks.Tokens) -> str:
    return _fenced("|".join(piece.replace("\n", "⏎") for piece in block.pieces))


@_show.register
def _(block: blocks.Continuation) -> str:
    return _fenced(f"{block.prompt}{block.text}")


def _fenced(text: str, language: str = "text") -> str:
    """`text` as it is, within a fence longer than any in it, so that nothing ends the block."""
    text = plain(text).rstrip()
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(_SHORTEST_FENCE, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _paragraph(text: str) -> str:
    return _BLOCK.sub(r"\g<1>\\\2", _escaped(text))


def _escaped(text: str) -> str:
    """`text` on one line, of which nothing is Markdown or HTML."""
    return _MARKUP.sub(r"\\\g<0>", html.escape(on_one_line(text), quote=False))
