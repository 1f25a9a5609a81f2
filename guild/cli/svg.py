"""Draws the wiring of a guild as SVG: who is asked first stands left, replies are dashed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape

from guild.cli.drawing import bundled_by_kind, ids_of
from guild.graph import OUTSIDE, Edge, Graph

Place = tuple[int, int]
Point = tuple[float, float]
Curve = tuple[Point, Point, Point, Point]

_COLUMN, _ROW, _MARGIN = 330, 110, 30
_BOX_WIDTH, _BOX_HEIGHT = 150, 44
_LINE = 15
_STYLE = """
text { font: 12px sans-serif; fill: #223 }
.name { font-weight: bold; text-anchor: middle }
.box { fill: #eef1fb; stroke: #556 }
.arrow { fill: none; stroke: #556; marker-end: url(#tip) }
.reply { stroke-dasharray: 5 4 }
.label { text-anchor: middle; stroke: #fff; stroke-width: 4; paint-order: stroke }
"""
_TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
    'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#556"/></marker></defs>'
)


def as_svg(graph: Graph) -> str:
    """A drawing of its own, without links to anything outside it."""
    places = _places(graph)
    width = 2 * _MARGIN + _BOX_WIDTH + _COLUMN * max((x for x, _ in places.values()), default=0)
    height = 3 * _MARGIN + _BOX_HEIGHT + _ROW * max((y for _, y in places.values()), default=0)
    arrows = bundled_by_kind(graph).items()
    curves = {edge: _curve(places[edge[0]], places[edge[1]], edge[2]) for edge, _ in arrows}
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{_STYLE}</style>',
        _TIP,
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *(_line(curve, edge[2]) for edge, curve in curves.items()),
        *(_box(node_id, place) for node_id, place in places.items()),
        *(_label(curves[edge], messages) for edge, messages in arrows),
        "</svg>",
    ]
    return "\n".join(parts)


def _places(graph: Graph) -> dict[str, Place]:
    ids = ids_of(graph)
    columns = _columns(graph.edges, ids)
    taken: defaultdict[int, int] = defaultdict(int)
    places = {}
    for node_id in ids:
        column = columns.get(node_id, 0)
        places[node_id] = (column, taken[column])
        taken[column] += 1
    return places


def _columns(edges: Sequence[Edge], ids: Sequence[str]) -> Mapping[str, int]:
    """How many requests lie between the first box and each other one."""
    columns = dict.fromkeys(ids[:1], 0)
    frontier = list(columns)
    for depth in range(1, len(ids)):
        forward = [edge for edge in edges if edge.source in frontier and edge.kind != "reply"]
        frontier = [edge.target for edge in forward if edge.target not in columns]
        columns |= dict.fromkeys(frontier, depth)
    return columns


def _curve(source: Place, target: Place, kind: str) -> Curve:
    """Requests run from the right side to the left one, replies back below them."""
    (x0, y0), (x1, y1) = _corner(source), _corner(target)
    shift = _BOX_HEIGHT * (0.7 if kind == "reply" else 0.3)
    if source[0] == target[0]:  # a bow on the right, out of the way of the boxes
        start, end = (x0 + _BOX_WIDTH, y0 + shift), (x1 + _BOX_WIDTH, y1 + shift)
        reach = 70.0
        return start, (start[0] + reach, start[1]), (end[0] + reach, end[1]), end
    is_forward = source[0] < target[0]
    start = (x0 + _BOX_WIDTH * is_forward, y0 + shift)
    end = (x1 + _BOX_WIDTH * (not is_forward), y1 + shift)
    reach = (end[0] - start[0]) / 2
    return start, (start[0] + reach, start[1]), (end[0] - reach, end[1]), end


def _corner(place: Place) -> Point:
    return _MARGIN + place[0] * _COLUMN, _MARGIN + place[1] * _ROW


def _line(curve: Curve, kind: str) -> str:
    start, *rest = (f"{x:.0f} {y:.0f}" for x, y in curve)
    return f'<path class="arrow {kind}" d="M{start} C{", ".join(rest)}"/>'


def _label(curve: Curve, messages: Sequence[str]) -> str:
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = curve
    x, y = (x0 + 3 * x1 + 3 * x2 + x3) / 8, (y0 + 3 * y1 + 3 * y2 + y3) / 8
    top = y + 4 - (len(messages) - 1) * _LINE / 2
    lines = (
        f'<tspan x="{x:.0f}" y="{top + index * _LINE:.0f}">{escape(message)}</tspan>'
        for index, message in enumerate(messages)
    )
    return f'<text class="label">{"".join(lines)}</text>'


def _box(node_id: str, place: Place) -> str:
    x, y = _corner(place)
    radius = _BOX_HEIGHT // 2 if node_id == OUTSIDE else 6
    return (
        f'<rect class="box" x="{x}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" '
        f'rx="{radius}"/><text class="name" x="{x + _BOX_WIDTH / 2:.0f}" '
        f'y="{y + _BOX_HEIGHT / 2 + 4:.0f}">{escape(node_id)}</text>'
    )
