"""`guildbus graph`."""

import json
from collections.abc import Callable

from guild.checking.graph import Graph
from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import OK
from guild.cli.printing.drawing import as_mermaid, as_svg, as_text
from guild.cli.syntax.options import Format
from guild.operations.view import report_of


async def print_graph(call: Call, drawn_as: Format) -> int:
    """Print the wiring; it is read from the spec, nothing is started."""
    if call.output.as_json:
        call.output.json(report_of(call.plan.graph).model_dump())
    elif drawn := _DRAW[drawn_as](call.plan.graph):
        call.output.text(drawn)
    else:
        call.output.note(f"{call.plan.spec.id} has no agent that handles or sends anything")
    return OK


def _as_json(graph: Graph) -> str:
    return json.dumps(report_of(graph).model_dump(), indent=2)


_DRAW: dict[Format, Callable[[Graph], str]] = {
    Format.TEXT: as_text,
    Format.MERMAID: as_mermaid,
    Format.SVG: as_svg,
    Format.JSON: _as_json,
}
