"""The drawing of a guild: labels that never lie on each other."""

import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path

import pytest

from guild.checking.graph import OUTSIDE, Edge, Graph, Node
from guild.checking.loader import load_file
from guild.checking.plan import Plan
from guild.cli.calling.call import shipped_specs
from guild.cli.printing.drawing import as_svg

LETTER_PX, LINE_PX = 6.5, 12
NAMES = ("outside.asks", "x", "a.long.name_that_takes_much_room", "loop", "another.loop")


def graph_of(*edges: Edge) -> Graph:
    ids = dict.fromkeys(end for edge in edges for end in edge[:2] if end != OUTSIDE)
    return Graph(tuple(Node(each, "t", "", ("x",), 1) for each in ids), edges)


TANGLED = graph_of(
    Edge(OUTSIDE, "one", NAMES[0], "request"),
    Edge("one", "two", NAMES[1], "send"),
    Edge("two", "one", NAMES[2], "reply"),
    Edge("a_very_long_name_of_an_agent", "two", NAMES[1], "route"),
    Edge("two", "two", NAMES[3], "send"),
    Edge("two", "two", NAMES[4], "send"),
    Edge("one", OUTSIDE, NAMES[1], "reply"),
)
SHIPPED = {path.stem: path for path in sorted(shipped_specs().glob("*.yaml"))}


def labels(drawing: str) -> list[tuple[float, float, float]]:
    """Left end, right end and base line of each text."""
    texts = ET.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text")
    boxes = []
    for text in texts:
        x, y, half = float(text.get("x", 0)), float(text.get("y", 0)), len(text.text or "") / 2
        boxes.append((x - half * LETTER_PX, x + half * LETTER_PX, y))
    return boxes


@pytest.mark.parametrize("spec", [None, *SHIPPED.values()], ids=["tangled", *SHIPPED])
def test_no_label_lies_on_another_or_leaves_the_picture(spec: Path | None) -> None:
    graph = Plan.of(load_file(spec)).graph if spec else TANGLED
    drawing = as_svg(graph)

    boxes = labels(drawing)

    width = float(ET.fromstring(drawing).get("width", 0))
    assert len(boxes) > len(graph.nodes)
    for one, other in combinations(boxes, 2):
        is_apart = one[1] <= other[0] or other[1] <= one[0] or abs(one[2] - other[2]) >= LINE_PX
        assert is_apart, (one, other)
    assert all(left >= 0 and right <= width for left, right, _ in boxes)


def test_every_message_is_named_and_markup_is_escaped(tmp_path: Path) -> None:
    drawing = as_svg(graph_of(Edge("a", "b", "<script>&", "send")))

    assert "&lt;script&gt;&amp;" in drawing
    assert "<script>" not in drawing


def test_a_guild_without_messages_is_drawn_too() -> None:
    assert labels(as_svg(Graph((Node("alone", "t", "", ("x",), 1),), ())))
    assert ET.fromstring(as_svg(Graph((), ()))) is not None
