"""The report as Markdown, readable as plain text too."""

from functools import singledispatch

from agents.research.report import blocks

_FENCE = "```"


def drawing_path(drawing: blocks.Drawing) -> str:
    """Where the drawing's file lies, relative to the report."""
    return f"figures/{drawing.name}.svg"


def to_markdown(document: blocks.Document) -> str:
    parts = [f"# {document.title}", document.subtitle]
    for section in document.sections:
        parts.append(f"## {section.title}")
        parts += [_show(block) for block in section.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


@singledispatch
def _show(block: object) -> str:
    raise TypeError(f"no Markdown for {type(block).__name__}")


@_show.register
def _(block: blocks.Prose) -> str:
    return _escaped(block.text)


@_show.register
def _(block: blocks.Headline) -> str:
    return f"**{_escaped(block.text)}**"


@_show.register
def _(block: blocks.Failure) -> str:
    quoted = "\n".join(f"> {line}" for line in block.error.splitlines())
    return f"> **Failed: {_escaped(block.title)}**\n>\n{quoted}"


@_show.register
def _(block: blocks.Tiles) -> str:
    return "\n".join(
        f"- **{_escaped(tile.value)}** {tile.label} ({_escaped(tile.note)})" for tile in block.tiles
    )


@_show.register
def _(block: blocks.Table) -> str:
    rule = ["---:" if i in block.numeric else ":---" for i in range(len(block.columns))]
    rows = [block.columns, rule]
    for index, cells in enumerate(block.rows):
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
    fence = _fence_for(block.text)
    return (
        f"<details><summary>{_escaped(block.title)}</summary>\n\n"
        f"{fence}{block.language}\n{block.text.rstrip()}\n{fence}\n\n</details>"
    )


@_show.register
def _(block: blocks.Tokens) -> str:
    text = "|".join(piece.replace("\n", "⏎") for piece in block.pieces)
    fence = _fence_for(text)
    return f"{fence}text\n{text}\n{fence}"


@_show.register
def _(block: blocks.Continuation) -> str:
    text = f"{block.prompt}{block.text}"
    fence = _fence_for(text)
    return f"{fence}text\n{text.rstrip()}\n{fence}"


def _fence_for(text: str) -> str:
    """A fence longer than any in `text`, so that nothing inside can end the block."""
    fence = _FENCE
    while fence in text:
        fence += "`"
    return fence


def _escaped(text: str) -> str:
    for character in "\\`*_<>[]|":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", " ")
