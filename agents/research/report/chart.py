"""A chart: lines and marks over a pair of axes, as SVG."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from agents.research.report.blocks import Drawing
from agents.research.report.drawing import LETTER_PX, drawing, line, mark, shortened, text

WIDTH, HEIGHT = 420.0, 270.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 14.0, 12.0, 42.0
_LEGEND_PX = 18.0
_LABEL_PX = 300.0
_TICKS = 5
_LARGEST = 1e300  # beyond it differences are no numbers
_LONG = 1e6  # from here on a tick has no room

Point = tuple[float, float]
Format = Callable[[float, float], str]


def number(value: float, step: float) -> str:
    """`value` with as many places as a tick needs to differ from the next, `step` away."""
    if abs(value) >= _LONG:
        return f"{value:.4g}"
    return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


class Series(NamedTuple):
    """Points of one kind.

    Attributes:
        colour: number of the colour, and of the shape of marks.
        kind: how the points are shown: joined, joined by steps, or each for itself.
        hints: what is told of each point under the pointer.
    """

    label: str
    points: Sequence[Point]
    colour: int
    kind: Literal["line", "steps", "marks"] = "line"
    is_dashed: bool = False
    hints: Sequence[str] = ()


class Axis(NamedTuple):
    """What stands along an axis.

    Attributes:
        limits: what is shown; None for all there is. Marks beyond it lie on the edge, hollow.
        format: how a tick is written, from its value and the distance to the next.
        is_whole: ticks are whole numbers only.
    """

    label: str
    format: Format = number
    limits: tuple[float, float] | None = None
    is_whole: bool = False


def chart(
    name: str, title: str, axes: tuple[Axis, Axis], series: Sequence[Series], *, told: str = ""
) -> Drawing | None:
    """Draw `series` over two axes; None where there is no point to draw. `told` describes it."""
    x, y = axes
    series = [
        each._replace(label=shortened(each.label, _LABEL_PX)) for each in series if each.points
    ]
    if not series:
        return None
    legend = list(_legend(series))
    top = _TOP + _LEGEND_PX * len(legend)
    frame = (_LEFT, top, WIDTH - _RIGHT, HEIGHT - _BOTTOM + _LEGEND_PX * (len(legend) - 1))
    height = frame[3] + _BOTTOM
    across = _Scale.of([p[0] for s in series for p in s.points], x, frame[0], frame[2])
    up = _Scale.of([p[1] for s in series for p in s.points], y, frame[3], frame[1])
    parts = [
        *_rows(legend),
        *_grid((across, x), (up, y), frame),
        text(frame[2], height - 8, x.label, "muted end"),
        *(part for each in series for part in _drawn(each, across, up)),
    ]
    return drawing(name, title, f"{y.label} by {x.label}. {told}".strip(), (WIDTH, height), parts)


class _Scale(NamedTuple):
    """From values to px."""

    low: float
    high: float
    step: float
    start_px: float
    end_px: float

    @classmethod
    def of(cls, values: Sequence[float], axis: Axis, start_px: float, end_px: float) -> "_Scale":
        low, high = axis.limits or (min(values), max(values))
        low, high = (max(-_LARGEST, min(end, _LARGEST)) for end in (low, high))
        if high - low < 1e-9 * max(1.0, abs(high)):
            room = max(1.0 if axis.is_whole else 0.05, 1e-3 * abs(high))
            low, high = low - room, high + room
        step = _step((high - low) / _TICKS)
        step = max(1.0, step) if axis.is_whole else step
        low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
        return cls(low, high, step, start_px, end_px)

    def __call__(self, value: float) -> float:
        share = min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))
        return self.start_px + share * (self.end_px - self.start_px)

    def shows(self, value: float) -> bool:
        slack = (self.high - self.low) * 1e-9
        return self.low - slack <= value <= self.high + slack

    def ticks(self) -> Iterator[float]:
        for index in range(round((self.high - self.low) / self.step) + 1):
            yield self.low + index * self.step


def _step(raw: float) -> float:
    """The next of 1, 2, 5, 10, 20 and so on."""
    size = 10.0 ** math.floor(math.log10(raw))
    return next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw * (1 - 1e-9))


def _grid(
    horizontal: tuple[_Scale, Axis],
    vertical: tuple[_Scale, Axis],
    frame: tuple[float, float, float, float],
) -> Iterator[str]:
    (across, x), (up, y) = horizontal, vertical
    left, _, right, bottom = frame
    for tick in up.ticks():
        yield line(left, up(tick), right, up(tick), "grid")
        yield text(left - 6, up(tick) + 4, y.format(tick, up.step), "muted end")
    for tick in across.ticks():
        yield text(across(tick), bottom + 17, x.format(tick, across.step), "muted middle")
    yield line(left, bottom, right, bottom, "axis")


def _drawn(series: Series, across: _Scale, up: _Scale) -> Iterator[str]:
    places = [(across(x), up(y)) for x, y in series.points]
    if series.kind == "marks":
        for index, (place, point) in enumerate(zip(places, series.points, strict=True)):
            hint = series.hints[index] if series.hints else ""
            yield mark(*place, series.colour, hint, is_hollow=not up.shows(point[1]))
        return
    path = f"M{places[0][0]:.1f} {places[0][1]:.1f}"
    for x, y in places[1:]:
        path += f"H{x:.1f}V{y:.1f}" if series.kind == "steps" else f"L{x:.1f} {y:.1f}"
    dashed = " dashed" if series.is_dashed else ""
    yield f'<path class="s{series.colour} line{dashed}" d="{path}"/>'
    if len(places) == 1:
        yield mark(*places[0], series.colour)


def _legend(series: Sequence[Series]) -> Iterator[list[tuple[float, Series]]]:
    """Rows of labels, each with the x where it begins."""
    row: list[tuple[float, Series]] = []
    x = _LEFT
    for each in series:
        width = 32 + LETTER_PX * len(each.label)
        if row and x + width > WIDTH:
            yield row
            row, x = [], _LEFT
        row.append((x, each))
        x += width
    yield row


def _rows(legend: list[list[tuple[float, Series]]]) -> Iterator[str]:
    for index, row in enumerate(legend):
        y = _TOP + index * _LEGEND_PX
        for x, each in row:
            if each.kind == "marks":
                yield mark(x + 8, y - 1, each.colour)
            else:
                dashed = " dashed" if each.is_dashed else ""
                yield line(x, y - 1, x + 16, y - 1, f"s{each.colour} line{dashed}")
            yield text(x + 21, y + 3, each.label, "muted")
