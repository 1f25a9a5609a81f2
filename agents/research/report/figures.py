"""Which plots a report has, and what stands on their axes."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from agents.research.report.content import ReportContent, Training
from agents.research.report.figure import Figure
from agents.research.report.plots import CurvePlot, plot_confusion, plot_curves

FOLDER = "figures"


def draw_figures(content: ReportContent, folder: Path) -> dict[str, Figure]:
    """Draw every plot that `content` has data for below `folder`; by name."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    figures = {}
    for name, caption, draw in _wanted(content):
        path = f"{FOLDER}/{name}.png"
        draw(folder / path)
        figures[name] = Figure(folder / path, path, caption)
    return figures


def _wanted(content: ReportContent) -> Iterator[tuple[str, str, Callable[[Path], object]]]:
    if content.training is not None:
        model = content.training.model
        loss, accuracy = _training_plots(content.training)
        yield "training-loss", f"{model}: loss", partial(plot_curves, plot=loss)
        if accuracy.curves:
            yield "training-accuracy", f"{model}: accuracy", partial(plot_curves, plot=accuracy)
    if (test := content.test) is not None:
        draw = partial(plot_confusion, counts=test.confusion, class_names=test.class_names)
        yield "confusion", f"Confusion matrix of the {test.samples} held-out images", draw
    if (model_facts := content.language_model) is not None:
        plot = CurvePlot(model_facts.loss, "training step", "cross entropy (nats per token)")
        yield "language-model-loss", "Language model: loss", partial(plot_curves, plot=plot)


def _training_plots(training: Training) -> tuple[CurvePlot, CurvePlot]:
    best = training.best_epoch
    label = f"best epoch ({best})"
    return (
        CurvePlot(training.loss, "epoch", "cross entropy (nats per image)", best, label),
        CurvePlot(training.accuracy, "epoch", "accuracy (share of images)", best, label),
    )
