"""The sections of a study's report, in reading order."""

import json
import re
import shlex
from collections.abc import Callable
from typing import Any

import yaml

from agents.research.experiments import Standing, Study, Trial
from agents.research.experiments.difference import difference
from agents.research.experiments.standing import is_within_noise
from agents.research.report.blocks import (
    Block,
    Code,
    Diff,
    Drawing,
    Drawings,
    Headline,
    Prose,
    Section,
    Table,
    Tile,
    Tiles,
)
from agents.research.report.plain import cut
from agents.research.report.study.charts import credit_chart, learning_charts, progress_charts
from agents.research.report.study.conclusion import caution, conclusion, tested
from agents.research.report.study.reading import Reading
from agents.research.report.study.scores import gain, score, unit_of_gain, with_error
from agents.research.report.study.tree import draw_tree
from agents.research.report.wording import MISSING, duration, scaled, whole

_MOST_ROWS = 15
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_NOTE_CHARS = 40
_REASON_CHARS = 500


def found(reading: Reading) -> Section:
    """The main finding, and the figures that belong beside it."""
    blocks: list[Block] = [Headline(conclusion(reading))]
    if text := caution(reading):
        blocks.append(Prose(text))
    blocks.append(Tiles(_tiles(reading)))
    return Section("What was found", blocks)


def sections_of(reading: Reading) -> list[Section]:
    """Everything after the main finding."""
    return [
        Section("Ranking", _ranking(reading)),
        Section("Tree", _tree(reading)),
        Section("Progress", _drawn(progress_charts(reading))),
        Section("Learning curves", _drawn(learning_charts(reading))),
        Section("Proposers", _proposers(reading)),
        Section("Best model", _best_model(reading)),
        Section("Failures", _failures(reading)),
        Section("Cost", _cost(reading)),
        Section("How to reproduce", _reproduce(reading)),
    ]


def _tiles(reading: Reading) -> list[Tile]:
    tiles = []
    metric = reading.metric
    for test in reading.tests:
        sure = tested(reading, test).partition("(")[2].rstrip(")")
        name = reading.name(test) or reading.label(test)
        note = ", ".join(filter(None, (name, cut(test.note, _NOTE_CHARS), sure)))
        tiles.append(Tile(f"held-out {metric}", score(metric, test.score(metric)), note))
    if (best := reading.best) is not None:
        note = f"{reading.label(reading.first_of(best))}, {_measured(reading, best)}"
        tiles.append(Tile(f"best validation {metric}", with_error(metric, best), note))
    if (baseline := reading.best_baseline) is not None:
        note = f"{reading.label(reading.first_of(baseline))}, {_measured(reading, baseline)}"
        which = "best" if baseline is reading.baselines[0] else "next best"
        tiles.append(Tile(f"{which} baseline", with_error(metric, baseline), note))
    failed = len(reading.failures)
    note = f"{failed} without a score" if failed else "all with a score"
    worked = duration(reading.used.worked_s)
    tiles.append(Tile("trials", whole(reading.used.trials), f"{worked} at work, {note}"))
    return tiles


def _measured(reading: Reading, standing: Standing) -> str:
    repeats = reading.findings.repeats
    return f"{standing.seeds} {repeats}s" if standing.seeds > 1 else f"one {repeats}"


def _ranking(reading: Reading) -> list[Block]:
    standings = reading.leaderboard
    if not standings:
        return []
    text = (
        f"Each configuration by its mean {reading.metric} on the validation split, with the "
        f"standard error over its {reading.findings.repeats}s where there is more than one. Within "
        "noise says whether it differs from the one that is believed to be best by no more than "
        "the standard error of the difference."
    )
    columns = ["#", reading.metric, "configuration", "by", f"{reading.findings.repeats}s"]
    columns += ["best", "within noise", "params", "cost"]
    shown = [
        standing
        for place, standing in enumerate(standings)
        if place < _MOST_ROWS or standing.kind == "baseline" or standing is reading.best
    ]
    rows = [_standing_row(reading, standing) for standing in shown]
    best = next((i for i, s in enumerate(shown) if s is reading.best), None)
    blocks: list[Block] = [Prose(text), Table(columns, rows, frozenset({0, 1, 4, 5, 7, 8}), best)]
    if len(standings) > len(shown):
        blocks.append(
            Prose(
                f"{len(standings) - len(shown)} more are in the tree below; all are listed by: "
                f"{_shown_by(reading.study, '--all')}"
            )
        )
    return blocks


def _standing_row(reading: Reading, standing: Standing) -> list[str]:
    trial = reading.first_of(standing)
    params = trial.metrics.get("params")
    return [
        str(standing.rank or ""),
        with_error(reading.metric, standing)
        if standing.mean is not None
        else reading.unscored(trial),
        " ".join(filter(None, (reading.label(trial), reading.changed(trial)))),
        standing.proposer,
        str(standing.seeds),
        score(reading.metric, standing.best),
        _noise(reading, standing),
        scaled(params) if params is not None else MISSING,
        duration(standing.cost_s),
    ]


def _noise(reading: Reading, standing: Standing) -> str:
    if reading.best is None or standing is reading.best:
        return "the best" if standing is reading.best else ""
    return {True: "yes", False: "no", None: ""}[is_within_noise(standing, reading.best)]


def _tree(reading: Reading) -> list[Block]:
    drawn = draw_tree(reading)
    if drawn is None:
        return []
    text = (
        "Each row is a configuration, below the one that it changes, with the reason why it was "
        "tried. The bar is its gain over that one; the thick line leads to the best."
    )
    return [Prose(text), drawn]


def _drawn(drawings: list[Drawing]) -> list[Block]:
    return [Drawings(drawings)] if drawings else []


def _proposers(reading: Reading) -> list[Block]:
    if not reading.credits:
        return []
    metric = reading.metric
    columns = ["proposer", "trials", "share", "improvements", f"gained, {unit_of_gain(metric)}"]
    columns += ["without score", "best", "cost", "tokens"]
    rows = [
        [
            credit.proposer,
            str(credit.trials),
            f"{credit.share * 100:.0f} %",
            str(credit.improvements),
            gain(metric, credit.gained),
            str(credit.failed),
            score(metric, credit.best),
            duration(credit.cost_s),
            whole(credit.tokens),
        ]
        for credit in reading.credits
    ]
    text = "An improvement is a trial with a better score than all before it, a lucky one too."
    chart = credit_chart(reading)
    table = Table(columns, rows, frozenset(range(1, 9)))
    return [Prose(text), *([chart] if chart else []), table]


def _best_model(reading: Reading) -> list[Block]:
    if reading.best is None:
        return []
    trial = reading.first_of(reading.best)
    parent = reading.trial(trial.parent or "") if trial.kind != "ensemble" else None
    config = yaml.safe_dump(trial.config, sort_keys=False, allow_unicode=True)
    why = f" Why it was tried: {cut(trial.note, _REASON_CHARS)}" if trial.note else ""
    text = f"{reading.label(trial)}, trial {trial.id}, proposed by {trial.proposer}.{why}"
    blocks: list[Block] = [Prose(text), Code("Configuration", "yaml", config)]
    if trial.code:
        blocks.append(Code("Code", "python", trial.code))
    if parent is not None and (changed := difference(parent, trial)):
        blocks.append(Diff(f"What changed from its parent, {reading.label(parent)}", changed))
    return blocks


def _failures(reading: Reading) -> list[Block]:
    failures = reading.failures
    if not failures:
        return []
    alike: dict[tuple[str, str], list[Trial]] = {}
    for trial in failures:
        alike.setdefault((trial.state, _NUMBER.sub("0", _first_line(trial.error))), []).append(
            trial
        )
    rows = [
        [state, str(len(some)), reading.label(some[0]), _first_line(some[0].error) or MISSING]
        for (state, _), some in sorted(alike.items(), key=lambda each: -len(each[1]))[:_MOST_ROWS]
    ]
    text = "What ended without a score, by its reason; numbers in it make no difference:"
    return [Prose(text), Table(["ended", "trials", "the first", "reason"], rows, frozenset({1}))]


def _cost(reading: Reading) -> list[Block]:
    budget, used = reading.study.budget, reading.used
    rows = [
        ["time at work", duration(used.worked_s), _bound(duration, budget.seconds)],
        ["trials", whole(used.trials), _bound(whole, budget.trials)],
        ["tokens of language models", whole(used.tokens), _bound(whole, budget.tokens)],
        ["cost of all trials together", duration(used.seconds), ""],
    ]
    costs = {
        kind: sum(trial.cost_s for trial in reading.trials if trial.kind == kind)
        for kind in dict.fromkeys(trial.kind for trial in reading.trials)
    }
    rows += [[f"of these: {kind}", duration(cost), ""] for kind, cost in costs.items() if cost]
    blocks: list[Block] = [Table(["what", "used", "allowed"], rows, frozenset({1, 2}))]
    if reading.repeated:
        pairs = ", ".join(
            " and ".join(reading.label(trial) for trial in group) for group in reading.repeated[:5]
        )
        blocks.append(Prose(f"Differing on paper only, and so tried more than once: {pairs}."))
    return blocks


def _bound(show: Callable[[Any], str], value: float | None) -> str:
    return "no bound" if value is None else show(value)


def _reproduce(reading: Reading) -> list[Block]:
    study, findings = reading.study, reading.findings
    seeds = sorted({trial.seed for trial in reading.trials})
    command = findings.command
    blocks: list[Block] = []
    if command:
        blocks.append(Code("Begin the same study", "sh", command, is_open=True))
    if reading.best is not None:
        trial = reading.first_of(reading.best)
        show = f"guildbus experiments show {trial.id}"
        lines = [f"{show}            # configuration, outcome"]
        lines += [f"{show} --code > model.py"] if trial.code else []
        is_compared = trial.parent and trial.kind != "ensemble"
        compare = f"guildbus experiments compare {trial.parent} {trial.id}"
        lines.append(compare if is_compared else _shown_by(study))
        blocks.append(Code("Look at the best model", "sh", "\n".join(lines), is_open=True))
    told = f"{findings.repeats.capitalize()}s: {', '.join(map(str, seeds[:20]))}."
    blocks.append(Prose(told))
    if study.asked:
        text = json.dumps(study.asked, indent=2, ensure_ascii=False)
        blocks.append(Code("What was asked", "json", text))
    return blocks


def _shown_by(study: Study, *options: str) -> str:
    """The command that shows a study; one whose name begins with a dash is no option."""
    dashes = ["--"] if study.name.startswith("-") else []
    return shlex.join(["guildbus", "experiments", "show", *options, *dashes, study.name])


def _first_line(error: str) -> str:
    return cut(next(iter(error.strip().splitlines()), ""), _REASON_CHARS)
