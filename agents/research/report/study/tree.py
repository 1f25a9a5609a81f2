"""The tree of what was tried, drawn row by row: what, why, by whom, and what it gained."""

from collections.abc import Iterator, Sequence

from agents.research.experiments.tree import Branch, flat
from agents.research.report.blocks import Drawing
from agents.research.report.drawing import (
    BOLD_PX,
    LETTER_PX,
    cross,
    drawing,
    line,
    mark,
    shortened,
    text,
)
from agents.research.report.plain import cut
from agents.research.report.study.reading import Reading
from agents.research.report.study.scores import gain, unit_of_gain, with_error

WIDTH = 980.0
_WITHIN = 0.9
_PROPOSER_PX = 140.0
_HINT_CHARS = 300
_ROW, _TOP, _LEFT = 21.0, 46.0, 14.0
_WIDEST_INDENT, _TREE = 18.0, 260.0
_SCORE_END, _GAIN_MIDDLE, _GAIN_HALF, _GAIN_END = WIDTH - 176.0, WIDTH - 112.0, 44.0, WIDTH - 8.0
_NAMES_END = _SCORE_END - 15 * LETTER_PX


def draw_tree(reading: Reading) -> Drawing | None:
    """A row for each configuration, below the one that it changes; None where there is none."""
    rows = list(flat(reading.tree))
    if not rows:
        return None
    deepest = max(depth for depth, _ in rows)
    indent = min(_WIDEST_INDENT, _TREE / max(1, deepest))
    widest = _widest([abs(branch.gain) for _, branch in rows if branch.gain is not None])
    trunk = _trunk(reading, rows)
    height = _TOP + _ROW * len(rows) + 6
    scored = sum(branch.standing.mean is not None for _, branch in rows)
    description = (
        f"{len(rows)} configurations, {scored} of them with a score; each below the one that it "
        "changes, with the reason, the score and the gain over its parent."
    )
    parts = [
        *_legend(reading),
        *_heads(reading),
        *_edges(rows, indent, trunk),
        *(
            part
            for index, (depth, branch) in enumerate(rows)
            for part in _row(
                reading, branch, (_x(depth, indent), _y(index)), widest, branch.trial.id in trunk
            )
        ),
    ]
    title = "What was tried, and why"
    return drawing("tree", title, description, (WIDTH, height), parts, is_tall=True)


def _widest(gains: Sequence[float]) -> float:
    """The gain that a full bar stands for; the few that are far off have a full one, too."""
    return sorted(gains)[int(len(gains) * _WITHIN)] if gains else 0.0


def _trunk(reading: Reading, rows: Sequence[tuple[int, Branch]]) -> frozenset[str]:
    """First trials of the best configuration and of what it descends from."""
    path: list[tuple[int, Branch]] = []
    for depth, branch in rows:
        path = [*path[:depth], (depth, branch)]
        if reading.best is not None and branch.standing.trials == reading.best.trials:
            return frozenset(above.trial.id for _, above in path)
    return frozenset()


def _legend(reading: Reading) -> Iterator[str]:
    x = _LEFT
    for colour, proposer in enumerate(reading.proposers):
        yield mark(x, 12, colour)
        name = shortened(proposer, _PROPOSER_PX)
        yield text(x + 10, 16, name, "muted")
        x += 28 + LETTER_PX * len(name)
    yield cross(x, 12)
    yield text(x + 10, 16, "no score", "muted")


def _heads(reading: Reading) -> Iterator[str]:
    y = _TOP - 14
    yield text(_SCORE_END, y, reading.metric, "muted small end")
    yield text(_GAIN_END, y, f"gain, {unit_of_gain(reading.metric)}", "muted small end")


def _edges(
    rows: Sequence[tuple[int, Branch]], indent: float, trunk: frozenset[str]
) -> Iterator[str]:
    """From each row to that of its parent; the way to the best one last, above the others."""
    above: dict[int, tuple[int, Branch]] = {}
    drawn: list[tuple[bool, str]] = []
    for index, (depth, branch) in enumerate(rows):
        above[depth] = (index, branch)
        if depth == 0:
            continue
        parent = above[depth - 1][0]
        is_trunk = branch.trial.id in trunk
        kind = "edge trunk" if is_trunk else "edge"
        x, y = _x(depth - 1, indent), _y(parent)
        path = f"M{x:.1f} {y:.1f}V{_y(index):.1f}H{_x(depth, indent):.1f}"
        drawn.append((is_trunk, f'<path class="{kind}" d="{path}"/>'))
    yield from (path for _, path in sorted(drawn, key=lambda pair: pair[0]))


def _row(
    reading: Reading,
    branch: Branch,
    place: tuple[float, float],
    widest: float,
    is_trunk: bool,
) -> Iterator[str]:
    x, y = place
    trial, standing = branch.trial, branch.standing
    label = " ".join(filter(None, (reading.label(trial), reading.changed(trial))))
    why = cut(trial.note or trial.error, _HINT_CHARS)
    hint = f"{label}, by {cut(trial.proposer, _HINT_CHARS)}: {why}"
    if standing.mean is None:
        yield cross(x, y, hint)
    else:
        yield mark(x, y, reading.proposers.index(trial.proposer), hint)
    letter = BOLD_PX if is_trunk else LETTER_PX
    room = _NAMES_END - x - 12
    name = shortened(label, room, letter)
    yield text(x + 11, y + 4, name, "strong" if is_trunk else "")
    used = 14 + letter * len(name)
    if why and room - used > 60:  # noqa: PLR2004  less says nothing
        yield text(x + 5 + used, y + 4, shortened(why, room - used), "muted")
    if standing.mean is None:
        yield text(_SCORE_END, y + 4, reading.unscored(trial), "muted end")
        return
    yield text(_SCORE_END, y + 4, with_error(reading.metric, standing), "end")
    yield from _gain(reading, branch, y, widest)


def _gain(reading: Reading, branch: Branch, y: float, widest: float) -> Iterator[str]:
    if branch.gain is None or widest == 0:
        return
    length = _GAIN_HALF * min(1.0, abs(branch.gain) / widest)
    start = _GAIN_MIDDLE if branch.gain >= 0 else _GAIN_MIDDLE - length
    kind = "good" if branch.gain >= 0 else "bad"
    yield f'<rect class="{kind}" x="{start:.1f}" y="{y - 5:.1f}" width="{length:.1f}" height="10"/>'
    yield line(_GAIN_MIDDLE, y - 8, _GAIN_MIDDLE, y + 8, "axis")
    yield text(_GAIN_END, y + 4, gain(reading.metric, branch.gain), "end")


def _x(depth: int, indent: float) -> float:
    return _LEFT + depth * indent


def _y(index: int) -> float:
    return _TOP + _ROW * (index + 0.5)
