"""What `guildbus experiments` shows to people; strings of models and users are only ever text."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import yaml
from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from agents.research.experiments.spending import Used
from agents.research.experiments.standing import Standing
from agents.research.experiments.study import Study
from agents.research.experiments.tree import Branch
from agents.research.experiments.trial import Trial
from agents.research.report.plain import on_one_line
from agents.research.report.study.reading import Reading
from agents.research.report.study.scores import gain, score, with_error
from agents.research.report.wording import MISSING, duration, moment, scaled, whole
from guild.cli.printing.output import printable

_STYLES = {"done": "green", "running": "cyan", "failed": "red", "diverged": "red"}
_MOST_ROWS = 20


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Collection[str] = ()
) -> Table:
    """A table; the columns of `right`, by their names, stand right."""
    above = plain(title, "bold") if title else None
    drawn = Table(title=above, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        drawn.add_column(plain(column), justify="right" if column in right else "left")
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else plain(str(cell)) for cell in row))
    return drawn


def plain(words: str, style: str = "") -> Text:
    return Text(on_one_line(words), style=style)


def ranking(reading: Reading, *, everything: bool) -> RenderableType:
    """The leaderboard of a study, and what it has spent."""
    standings = reading.leaderboard
    shown = standings if everything else standings[:_MOST_ROWS]
    metric = reading.metric
    rows = [_standing_row(reading, standing) for standing in shown]
    columns = ["#", "trial", "configuration", "by", metric, "seeds", "params", "cost"]
    drawn = table(_title(reading.study), columns, rows, ["#", metric, "seeds", "params", "cost"])
    parts: list[RenderableType] = [drawn] if rows else [plain("nothing was tried yet")]
    if left := len(standings) - len(shown):
        parts.append(plain(f"and {left} more, shown by --all", "dim"))
    parts.append(plain(f"used: {_used(reading.study, reading.used)}", "dim"))
    return Group(*parts)


def tree(reading: Reading) -> Tree:
    """What was tried, each below what it changes."""
    drawn = Tree(plain(_title(reading.study), "bold"))
    left = [(drawn, branch) for branch in reversed(reading.tree)]
    while left:
        above, branch = left.pop()
        node = above.add(_branch(reading, branch))
        left += [(node, child) for child in reversed(branch.children)]
    return drawn


def trial_sheet(
    trial: Trial, lineage: Sequence[Trial], children: Sequence[Trial]
) -> RenderableType:
    """All that is known of a trial but its code."""
    facts = [
        ("study", trial.study),
        ("status", plain(_state(trial), _STYLES.get(trial.state, ""))),
        ("kind", trial.kind),
        ("proposed by", trial.proposer),
        ("why", trial.note or MISSING),
        ("seed", str(trial.seed)),
        (
            "cost",
            duration(trial.cost_s) + (f", {whole(trial.tokens)} tokens" if trial.tokens else ""),
        ),
        ("planned", moment(trial.created_at)),
        ("ended", moment(trial.ended_at) if trial.ended_at is not None else MISSING),
        ("folder", trial.artifacts or MISSING),
        ("comes from", " → ".join(each.id[:8] for each in lineage[:-1]) or "nothing before it"),
        ("led to", ", ".join(each.id[:8] for each in children) or MISSING),
        ("code", f"{len(trial.code.splitlines())} lines: --code" if trial.code else MISSING),
    ]
    sheet = table(f"Trial {trial.id}", ["", ""], facts)
    sheet.show_header = False
    parts: list[RenderableType] = [sheet]
    if trial.error:
        parts.append(Text(f"\n{printable(trial.error)}", "red"))
    if trial.metrics:
        rows = [(name, f"{value:.6g}") for name, value in trial.metrics.items()]
        parts += [Text(), table("Metrics", ["metric", "value"], rows, ["value"])]
    config = printable(yaml.safe_dump(trial.config, sort_keys=False, allow_unicode=True))
    parts += [Text(), Text("Configuration", "bold"), Text(config.rstrip())]
    return Group(*parts)


def comparison(one: Trial, other: Trial, diff: str) -> RenderableType:
    """Two trials side by side, and what changed from one to the other."""
    metrics = dict.fromkeys([*one.metrics, *other.metrics])
    rows: list[tuple[Any, ...]] = [
        ("status", one.state, other.state, ""),
        ("proposed by", one.proposer, other.proposer, ""),
        ("seed", str(one.seed), str(other.seed), ""),
        ("cost", duration(one.cost_s), duration(other.cost_s), ""),
        *(_metric_row(name, one.metrics.get(name), other.metrics.get(name)) for name in metrics),
    ]
    columns = ["", one.id[:8], other.id[:8], "difference"]
    drawn = table("", columns, rows, columns[1:])
    changed = Syntax(printable(diff), "diff", background_color="default") if diff else None
    return Group(drawn, Text(), changed or plain("configuration and code are the same", "dim"))


def _state(trial: Trial) -> str:
    return f"{trial.state}: its process has ended" if trial.is_abandoned else trial.state


def _metric_row(name: str, one: float | None, other: float | None) -> tuple[str, ...]:
    values = [MISSING if value is None else f"{value:.6g}" for value in (one, other)]
    apart = "" if one is None or other is None else f"{other - one:+.4g}"
    return name, *values, apart


def _standing_row(reading: Reading, standing: Standing) -> list[Any]:
    trial = reading.first_of(standing)
    params = trial.metrics.get("params")
    is_best = standing is reading.best
    told = " ".join(filter(None, (reading.label(trial), reading.changed(trial))))
    result = (
        with_error(reading.metric, standing)
        if standing.mean is not None
        else reading.unscored(trial)
    )
    return [
        str(standing.rank or ""),
        trial.id[:8],
        plain(told, "bold green" if is_best else ""),
        standing.proposer,
        plain(result, "" if standing.mean is not None else _STYLES.get(trial.state, "")),
        str(standing.seeds),
        scaled(params) if params is not None else MISSING,
        duration(standing.cost_s),
    ]


def _branch(reading: Reading, branch: Branch) -> Text:
    trial, mean = branch.trial, branch.standing.mean
    told = " ".join(filter(None, (reading.label(trial), reading.changed(trial))))
    result = reading.unscored(trial) if mean is None else score(reading.metric, mean)
    gained = gain(reading.metric, branch.gain)
    style = "red" if mean is None or (branch.gain or 0) < 0 else "green"
    why = f"{trial.proposer}: {trial.note}" if trial.note else trial.proposer
    parts = [plain(told), plain(result, "bold"), plain(gained, style), plain(why, "dim")]
    return Text("  ").join(part for part in parts if part)


def _title(study: Study) -> str:
    about = f", {study.dataset}" if study.dataset else ""
    state = f"ended {moment(study.ended_at)}" if study.ended_at is not None else "not ended"
    return f"{study.name}{about}: begun {moment(study.created_at)}, {state}"


def _used(study: Study, used: Used) -> str:
    budget = study.budget
    return ", ".join(
        (
            f"trials {whole(used.trials)}{_bound(whole, budget.trials)}",
            f"time {duration(used.worked_s)}{_bound(duration, budget.seconds)}",
            f"tokens {whole(used.tokens)}{_bound(whole, budget.tokens)}",
        )
    )


def _bound(show: Callable[[Any], str], value: float | None) -> str:
    return "" if value is None else f" of {show(value)}"
