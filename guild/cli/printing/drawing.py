"""Draws the wiring of a guild as text and Mermaid."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from guild.checking.graph import OUTSIDE, Graph


def as_text(graph: Graph) -> str:
    """One arrow a line, grouped by sender."""
    arrows = _bundled(graph)
    width = max((len(source) for source, _ in arrows), default=0)
    lines = [
        f"{source:<{width}} -> {target}: {', '.join(messages)}"
        for (source, target), messages in arrows.items()
    ]
    return "\n".join(lines or [f"{node.id} (nothing is sent)" for node in graph.nodes])


def as_mermaid(graph: Graph) -> str:
    """A flowchart for Markdown pages that render Mermaid."""
    # Mermaid's own ids may hold fewer characters than ours.
    names = {node_id: f"n{index}" for index, node_id in enumerate(ids_of(graph))}
    agents = {node.id for node in graph.nodes}
    lines = ["flowchart LR"]
    for node_id, name in names.items():
        shape = f'["{node_id}"]' if node_id in agents else f'(["{node_id}"])'
        lines.append(f"    {name}{shape}")
    for edge, messages in bundled_by_kind(graph).items():
        arrow = "-.->" if edge[2] == "reply" else "-->"
        label = "<br>".join(messages)
        lines.append(f'    {names[edge[0]]} {arrow}|"{label}"| {names[edge[1]]}')
    return "\n".join(lines)


def _bundled(graph: Graph) -> Mapping[tuple[str, str], Sequence[str]]:
    arrows: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for edge in graph.edges:
        _add(arrows[edge.source, edge.target], edge.message)
    return arrows


def bundled_by_kind(graph: Graph) -> Mapping[tuple[str, str, str], Sequence[str]]:
    """What goes by one arrow: message names by sender, receiver and `send` or `reply`."""
    arrows: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for edge in graph.edges:
        kind = "reply" if edge.kind == "reply" else "send"
        _add(arrows[edge.source, edge.target, kind], edge.message)
    return arrows


def _add(messages: list[str], message: str) -> None:
    """Name it once by one arrow, however many ways it may take there."""
    if message not in messages:
        messages.append(message)


def ids_of(graph: Graph) -> list[str]:
    """Every agent; first of all the outside if it has a part, and what schedules send."""
    ids = [node.id for node in graph.nodes]
    has_outside = any(OUTSIDE in (edge.source, edge.target) for edge in graph.edges)
    schedules = dict.fromkeys(edge.source for edge in graph.edges if edge.kind == "schedule")
    return [*([OUTSIDE] if has_outside else []), *schedules, *ids]
