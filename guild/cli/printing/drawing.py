"""Draws the wiring of a guild as text, Mermaid and SVG.

In SVG each agent has a lane, and every arrow rows of its own, so that no label can lie on another
whatever the guild is like.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from guild.checking.graph import OUTSIDE, Graph

Arrow = tuple[str, str, str]

_MARGIN, _BOX_WIDTH, _BOX_HEIGHT = 20, 130, 36
_LINE, _GAP, _LETTER = 15, 18, 7  # px: a label's row, between two arrows, an average letter
_BOW = 40  # how far an arrow from an agent to itself swings out
_STYLE = """
text { font: 12px sans-serif; fill: #223; text-anchor: middle }
.name { font-weight: bold }
.box { fill: #eef1fb; stroke: #556 }
.lane { stroke: #cbd0dd }
.arrow { fill: none; stroke: #556; marker-end: url(#tip) }
.reply { stroke-dasharray: 5 4 }
.label { stroke: #fff; stroke-width: 4; paint-order: stroke }
"""
_TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
    'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#556"/></marker></defs>'
)


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
    names = {node_id: f"n{index}" for index, node_id in enumerate(_ids_of(graph))}
    agents = {node.id for node in graph.nodes}
    lines = ["flowchart LR"]
    for node_id, name in names.items():
        shape = f'["{node_id}"]' if node_id in agents else f'(["{node_id}"])'
        lines.append(f"    {name}{shape}")
    for edge, messages in _bundled_by_kind(graph).items():
        arrow = "-.->" if edge[2] == "reply" else "-->"
        label = "<br>".join(messages)
        lines.append(f'    {names[edge[0]]} {arrow}|"{label}"| {names[edge[1]]}')
    return "\n".join(lines)


def _bundled(graph: Graph) -> Mapping[tuple[str, str], Sequence[str]]:
    arrows: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for edge in graph.edges:
        _add(arrows[edge.source, edge.target], edge.message)
    return arrows


def _bundled_by_kind(graph: Graph) -> Mapping[Arrow, Sequence[str]]:
    """What goes by one arrow: message names by sender, receiver and `send` or `reply`."""
    arrows: defaultdict[Arrow, list[str]] = defaultdict(list)
    for edge in graph.edges:
        kind = "reply" if edge.kind == "reply" else "send"
        _add(arrows[edge.source, edge.target, kind], edge.message)
    return arrows


def _add(messages: list[str], message: str) -> None:
    """Name it once by one arrow, however many ways it may take there."""
    if message not in messages:
        messages.append(message)


def _ids_of(graph: Graph) -> list[str]:
    """Every agent; first of all the outside if it has a part, and what schedules send."""
    ids = [node.id for node in graph.nodes]
    has_outside = any(OUTSIDE in (edge.source, edge.target) for edge in graph.edges)
    schedules = dict.fromkeys(edge.source for edge in graph.edges if edge.kind == "schedule")
    return [*([OUTSIDE] if has_outside else []), *schedules, *ids]


def as_svg(graph: Graph) -> str:
    """A drawing of its own, without links to anything outside it."""
    arrows = dict(sorted(_bundled_by_kind(graph).items(), key=lambda item: _turn(item[0])))
    ids, agents = _ids_of(graph), {node.id for node in graph.nodes}
    box = max(_BOX_WIDTH, _width_of(ids))
    label = _width_of(name for names in arrows.values() for name in names)
    # So far apart that the widest label fits between two.
    step = max(box, label) + _MARGIN
    lanes = {agent: _MARGIN + box // 2 + index * step for index, agent in enumerate(ids)}
    drawn, bottom = _rows(arrows, lanes)
    width = max(lanes.values(), default=0) + max(box // 2, label // 2 + _BOW) + _MARGIN
    height = bottom + _MARGIN
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{_STYLE}</style>',
        _TIP,
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *(f'<path class="lane" d="M{x} {_MARGIN}V{bottom}"/>' for x in lanes.values()),
        *(_box(agent, x, box, is_agent=agent in agents) for agent, x in lanes.items()),
        *drawn,
        "</svg>",
    ]
    return "\n".join(parts)


def _turn(arrow: Arrow) -> int:
    """A guild is asked first and answers last."""
    source, target, _ = arrow
    return 0 if source == OUTSIDE else 2 if target == OUTSIDE else 1


def _width_of(texts: Iterable[str]) -> int:
    """What the longest of them takes, with some air; SVG cannot measure before it is drawn."""
    return max(map(len, texts), default=0) * _LETTER + _MARGIN


def _rows(
    arrows: Mapping[Arrow, Sequence[str]], lanes: Mapping[str, int]
) -> tuple[Sequence[str], int]:
    """Every arrow below the one before it, and the y where the last one ends."""
    parts = []
    y = _MARGIN + _BOX_HEIGHT
    for (source, target, kind), names in arrows.items():
        y += _GAP
        x0, x1 = lanes[source], lanes[target]
        middle = (x0 + x1) // 2 if x0 != x1 else x0 + _BOW
        for name in names:
            y += _LINE
            parts.append(f'<text class="label" x="{middle}" y="{y - 5}">{escape(name)}</text>')
        bow = f"h{_BOW}v{_GAP // 2}H{x1}" if x0 == x1 else f"H{x1}"
        parts.append(f'<path class="arrow {kind}" d="M{x0} {y}{bow}"/>')
    return parts, y + _GAP


def _box(agent: str, x: int, width: int, *, is_agent: bool) -> str:
    radius = 6 if is_agent else _BOX_HEIGHT // 2
    return (
        f'<rect class="box" x="{x - width // 2}" y="{_MARGIN}" width="{width}" '
        f'height="{_BOX_HEIGHT}" rx="{radius}"/><text class="name" x="{x}" '
        f'y="{_MARGIN + _BOX_HEIGHT // 2 + 4}">{escape(agent)}</text>'
    )
