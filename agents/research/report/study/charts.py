"""Which charts a study has, and what stands on their axes."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from agents.research.experiments import Standing
from agents.research.report.blocks import Drawing
from agents.research.report.chart import Axis, Point, Series, chart
from agents.research.report.drawing import drawing, line, mark, shortened, text
from agents.research.report.study.reading import Reading
from agents.research.report.study.scores import score, tick

_CURVES = 5
_SHOWN_SHARE = 0.15  # of the scores, the worst, may lie beyond the axis
_MINUTE_S = 60.0
_LOSSES = (("training", "train_loss"), ("validation", "val_loss"))


def progress_charts(reading: Reading) -> list[Drawing]:
    """Scores by trial, and the best so far by time."""
    points = reading.points
    if not points:
        return []
    y = Axis(reading.metric, partial(tick, reading.metric), _limits(reading))
    by_trial = [
        Series(
            proposer,
            [(p.number, p.score) for p in points if p.trial.proposer == proposer],
            colour,
            "marks",
            hints=[
                f"{reading.label(p.trial)}: {score(reading.metric, p.score)}"
                for p in points
                if p.trial.proposer == proposer
            ],
        )
        for colour, proposer in enumerate(reading.proposers)
    ]
    in_minutes = points[-1].elapsed_s > 2 * _MINUTE_S
    unit = _MINUTE_S if in_minutes else 1.0
    best = [(p.elapsed_s / unit, p.best) for p in points]
    time_label = "minutes since the study began" if in_minutes else "seconds since the study began"
    baseline = _baseline(reading, best)
    trial_axis = Axis("trial", lambda value, _: f"{value:.0f}", is_whole=True)
    beyond = " (hollow: beyond the axis)" if y.limits else ""
    title = f"{reading.metric.capitalize()} of each trial{beyond}"
    drawn = [
        chart("scores", title, (trial_axis, y), by_trial),
        chart(
            "best-so-far",
            f"Best {reading.metric} so far, of a single trial",
            (Axis(time_label), y),
            [Series("best so far", best, 0, "steps"), *baseline],
            told=f"It ends at {score(reading.metric, points[-1].best)}.",
        ),
    ]
    return [each for each in drawn if each is not None]


def learning_charts(reading: Reading) -> list[Drawing]:
    """How the best learned: its losses, and its scores beside those of the first in rank."""
    everything = [*([reading.best] if reading.best else []), *reading.ranked]
    histories = {
        reading.label(reading.first_of(standing)): history
        for standing in everything
        if (history := _history(reading, standing))
    }
    if not histories:
        return []
    name, best = next(iter(histories.items()))
    losses = [
        Series(label, points, colour)
        for colour, (label, key) in enumerate(_LOSSES)
        if (points := _curve(best, key))
    ]
    shown = list(histories.items())[:_CURVES]
    told, key, y = _beside_it(reading, [history for _, history in shown])
    beside = [
        Series(label, points, colour)
        for colour, (label, history) in enumerate(shown)
        if (points := _curve(history, key))
    ]
    is_more = len(beside) > 1 or key != "train_loss"
    unit = "epoch" if any("epoch" in record for record in best) else "step"
    x = Axis(unit, lambda value, _: f"{value:.0f}", is_whole=True)
    drawn = [
        chart("learning-loss", f"Loss of {name}", (x, Axis("loss")), losses),
        chart("learning-score", f"{told} of the best", (x, y), beside) if is_more else None,
    ]
    return [each for each in drawn if each is not None]


def _beside_it(
    reading: Reading, histories: Sequence[list[dict[str, Any]]]
) -> tuple[str, str, Axis]:
    """What several curves are compared by: the metric, where it was measured on the way."""
    key = f"val_{reading.metric}"
    if any(_curve(history, key) for history in histories):
        y = Axis(reading.metric, partial(tick, reading.metric))
        return f"Validation {reading.metric}", key, y
    return "Training loss", "train_loss", Axis("loss")


def credit_chart(reading: Reading) -> Drawing | None:
    """Each proposer's share of the trials, beside its share of the improvements."""
    proposers = reading.credits
    improvements = sum(credit.improvements for credit in proposers)
    if not improvements:
        return None
    width, row, left, right = 420.0, 46.0, 110.0, 152.0
    full = width - left - right
    parts: list[str] = []
    for index, credit in enumerate(proposers):
        y = 14 + index * row
        colour = reading.proposers.index(credit.proposer)
        parts += [
            mark(8, y + 10, colour),
            text(20, y + 14, shortened(credit.proposer, left - 22), "strong"),
        ]
        found = credit.improvements / improvements
        shares = (("of trials", credit.share, "0.35"), ("of improvements", found, "1"))
        for part, (label, share, opacity) in enumerate(shares):
            top = y + part * 17
            parts.append(
                f'<rect class="s{colour % 6} mark" opacity="{opacity}" x="{left}" y="{top:.1f}" '
                f'width="{max(1.0, full * share):.1f}" height="13"/>'
            )
            words = f"{share * 100:.0f} % {label}"
            parts.append(text(left + full * share + 6, top + 11, words, "muted small"))
    parts.append(line(left, 8, left, 8 + row * len(proposers), "axis"))
    told = "; ".join(
        f"{c.proposer}: {c.share * 100:.0f} % of trials, {c.improvements} improvements"
        for c in proposers
    )
    size = (width, 14 + row * len(proposers))
    return drawing("credit", "Who found it", told, size, parts)


def _limits(reading: Reading) -> tuple[float, float] | None:
    """What to show of the scores: the few that are far off would press all others flat."""
    scores = sorted(point.score for point in reading.points)
    cut = int(len(scores) * _SHOWN_SHARE)
    if not cut:
        return None
    if reading.study.higher_is_better:
        low, high = scores[cut], scores[-1]
        low -= 0.1 * (high - low)
        return (low, high) if low > scores[0] and high > low else None
    low, high = scores[0], scores[-1 - cut]
    high += 0.1 * (high - low)
    return (low, high) if high < scores[-1] and high > low else None


def _baseline(reading: Reading, best: list[Point]) -> Iterator[Series]:
    standing = next(iter(reading.baselines), None)
    if standing is not None and standing.mean is not None:
        name = reading.label(reading.first_of(standing))
        across = [(best[0][0], standing.mean), (best[-1][0], standing.mean)]
        yield Series(f"best baseline, {name}", across, 5, is_dashed=True)


def _history(reading: Reading, standing: Standing) -> list[dict[str, Any]]:
    """That of the configuration's first trial which has one."""
    histories = (reading.findings.histories.get(trial, []) for trial in standing.trials)
    return next((history for history in histories if history), [])


def _curve(history: list[dict[str, Any]], key: str) -> list[Point]:
    return [
        (record.get("epoch", record.get("step", index)), record[key])
        for index, record in enumerate(history, 1)
        if isinstance(record.get(key), int | float) and math.isfinite(record[key])
    ]
