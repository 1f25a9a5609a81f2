"""Curves and matrices as PNG files, each in a light and a dark version."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agents.research.report.content import Curve
from agents.research.report.figure import dark_twin

DPI = 180
THEMES = {
    "light": {
        "background": "#ffffff",
        "ink": "#1f2933",
        "muted": "#66727f",
        "grid": "#e3e8ee",
        "lines": ("#2563eb", "#d9480f", "#0f766e", "#7c3aed"),
    },
    "dark": {
        "background": "#171b22",
        "ink": "#e6eaf0",
        "muted": "#9aa5b1",
        "grid": "#2b323d",
        "lines": ("#7aa7ff", "#ffa463", "#5fd3c4", "#c3a6ff"),
    },
}
_MOST_DOTS = 25  # more of them hide the line
_INVERTED_FROM = 0.5  # of the largest cell


class CurvePlot(NamedTuple):
    """Curves over one pair of axes, and perhaps a dotted vertical line at `marked_x`."""

    curves: Sequence[Curve]
    x_label: str
    y_label: str
    marked_x: float | None = None
    marked_label: str = ""


def plot_curves(path: Path, plot: CurvePlot) -> list[Path]:
    """Draw `plot` to `path` and its dark twin."""
    return [_draw_curves(file, theme, plot) for file, theme in _versions(path)]


def plot_confusion(
    path: Path, counts: Sequence[Sequence[int]], class_names: Sequence[str]
) -> list[Path]:
    """Draw a confusion matrix, true classes downwards, to `path` and its dark twin."""
    return [_draw_confusion(file, theme, counts, class_names) for file, theme in _versions(path)]


def _versions(path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    yield path, THEMES["light"]
    yield dark_twin(path), THEMES["dark"]


def _draw_curves(path: Path, theme: dict[str, Any], plot: CurvePlot) -> Path:
    with _figure(path, theme, (5.8, 3.4)) as axes:
        for curve, color in zip(plot.curves, cycle(theme["lines"]), strict=False):
            marker = "o" if len(curve.x) <= _MOST_DOTS else ""
            axes.plot(
                curve.x, curve.y, color=color, label=curve.label, marker=marker, markersize=3.5
            )
        if plot.marked_x is not None:
            axes.axvline(
                plot.marked_x, color=theme["muted"], linestyle=":", label=plot.marked_label
            )
        axes.set_xlabel(plot.x_label)
        axes.set_ylabel(plot.y_label)
        axes.grid(visible=True, color=theme["grid"], linewidth=0.8)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # nobody trains half an epoch
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.legend(frameon=False, labelcolor=theme["ink"])
    return path


def _draw_confusion(
    path: Path,
    theme: dict[str, Any],
    counts: Sequence[Sequence[int]],
    class_names: Sequence[str],
) -> Path:
    shades = LinearSegmentedColormap.from_list("shades", [theme["background"], theme["lines"][0]])
    largest = max((max(row, default=0) for row in counts), default=0) or 1
    side = max(4.0, 0.46 * len(counts) + 1.2)
    with _figure(path, theme, (side + 0.3, side)) as axes:
        axes.imshow(counts, cmap=shades, vmin=0, vmax=largest)
        for i, row in enumerate(counts):
            for j, count in enumerate(row):
                if count:
                    is_full = count / largest >= _INVERTED_FROM
                    color = theme["background"] if is_full else theme["ink"]
                    axes.text(j, i, str(count), ha="center", va="center", fontsize=9, color=color)
        axes.set_xticks(range(len(class_names)), class_names)
        axes.set_yticks(range(len(class_names)), class_names)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_edgecolor(theme["grid"])
    return path


@contextmanager
def _figure(path: Path, theme: dict[str, Any], size_inches: tuple[float, float]) -> Iterator[Any]:
    style: Any = {
        "figure.facecolor": theme["background"],
        "axes.facecolor": theme["background"],
        "axes.edgecolor": theme["muted"],
        "axes.labelcolor": theme["ink"],
        "text.color": theme["ink"],
        "xtick.color": theme["muted"],
        "ytick.color": theme["muted"],
        "font.size": 10.5,
        "lines.linewidth": 1.9,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=size_inches, layout="constrained")
        yield figure.subplots()
        figure.savefig(path, dpi=DPI, format="png")
