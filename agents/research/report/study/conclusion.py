"""What a study found, in a few sentences that a careful reader would sign."""

from agents.research.experiments import Standing, Trial
from agents.research.experiments.standing import is_within_noise
from agents.research.report.study.reading import Reading
from agents.research.report.study.scores import (
    gain,
    interval,
    is_share,
    score,
    unit_of_gain,
    with_error,
)


def conclusion(reading: Reading) -> str:
    """The main finding with its uncertainty, and how it stands beside the best baseline."""
    if reading.findings.conclusion:
        return reading.findings.conclusion
    best, baseline = reading.best, reading.best_baseline
    if best is None:
        ended = f"none of the {len(reading.trials)} trials ended with a score"
        return f"Nothing was found: {ended}." if reading.trials else "Nothing was tried yet."
    return f"{_best(reading, best)}{_beside(reading, best, baseline)}"


def caution(reading: Reading) -> str:
    """What to keep in mind when reading the main finding; "" where it needs none."""
    best = reading.best
    if best is None:
        return ""
    ranked = [s for s in reading.leaderboard if s.rank is not None]
    above = sum((s.rank or 0) < (best.rank or 0) and s.seeds < best.seeds for s in ranked)
    parts = []
    if len(ranked) > 1:
        but = "; nothing was chosen by the held-out test" if reading.tests else ""
        parts.append(
            f"It was chosen among {len(ranked)} configurations by the validation split, so that "
            f"this figure is optimistic{but}."
        )
    if best.standard_error is None:
        parts.append(
            f"It was measured once: another {reading.findings.repeats} may give another figure."
        )
    elif above:
        those = (
            "One with a better figure was" if above == 1 else f"{above} with a better figure were"
        )
        parts.append(f"{those} not measured as often.")
    return " ".join(parts)


def tested(reading: Reading, test: Trial) -> str:
    """A held-out test's score, with the interval that its size allows."""
    value = test.score(reading.metric)
    assert value is not None  # only tests with a score are shown
    samples = reading.findings.test_samples or int(test.metrics.get("samples", 0))
    if not samples or not is_share(reading.metric):
        return score(reading.metric, value)
    low, high = interval(value, samples)
    return (
        f"{score(reading.metric, value)} (95 % interval {low * 100:.1f} to {high * 100:.1f} %, "
        f"{samples:,} samples)"
    )


def _best(reading: Reading, best: Standing) -> str:
    name = reading.label(reading.first_of(best))
    repeats = "measured once"
    if best.seeds > 1:
        repeats = f"mean ± standard error over {best.seeds} {reading.findings.repeats}s"
    return (
        f"The best of what was tried, {name} (by {best.proposer}), reaches "
        f"{reading.metric} {with_error(reading.metric, best)}, {repeats}, on the validation "
        f"split of {reading.study.dataset or 'the data'}"
    )


def _beside(reading: Reading, best: Standing, baseline: Standing | None) -> str:
    if baseline is None or baseline.mean is None or best.mean is None:
        return "; no baseline was measured beside it."
    name = reading.label(reading.first_of(baseline))
    sign = 1 if reading.study.higher_is_better else -1
    ahead = sign * (best.mean - baseline.mean)
    told = f"the best baseline, {name}, has {with_error(reading.metric, baseline)}"
    apart = f"{gain(reading.metric, ahead)} {unit_of_gain(reading.metric)}"
    is_noise = is_within_noise(best, baseline)
    if is_noise is None:
        return f"; {told}. The difference is {apart}; how much of it is noise is not known."
    if is_noise:
        return f"; {told}. The difference, {apart}, is within noise."
    return f"; {told} and is {'beaten' if ahead > 0 else 'better'} ({apart}, more than noise)."
