"""`guildbus graph`."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from guild.cli.drawing import as_mermaid, as_text
from guild.cli.exit_codes import OK
from guild.cli.opening import plan_of
from guild.cli.output import Output
from guild.cli.svg import as_svg
from guild.graph import Graph

_FORMATS: dict[str, Callable[[Graph], str]] = {
    "text": as_text,
    "mermaid": as_mermaid,
    "svg": as_svg,
    "json": lambda graph: json.dumps(
        {
            "nodes": [node._asdict() for node in graph.nodes],
            "edges": [edge._asdict() for edge in graph.edges],
        },
        indent=2,
    ),
}


async def print_graph(path: Path, format_: str, *, allow: Sequence[str]) -> int:
    """Print the wiring; it is read from the spec, nothing is started."""
    if format_ not in _FORMATS:
        raise typer.BadParameter(f"{format_!r} is none of {', '.join(_FORMATS)}")
    Output().text(_FORMATS[format_](plan_of(path, allow=allow).graph))
    return OK
