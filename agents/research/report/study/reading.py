"""What follows from the findings of a study; each is computed once."""

from collections import Counter
from functools import cached_property

from agents.research.experiments import Standing, Trial, Used
from agents.research.experiments.difference import changes
from agents.research.experiments.duplicates import duplicates
from agents.research.experiments.progress import Credit, Point, credits_of, progress
from agents.research.experiments.spending import used_by
from agents.research.experiments.standing import leaderboard
from agents.research.experiments.tree import Branch, grow
from agents.research.report.plain import cut, in_a_sentence, on_one_line
from agents.research.report.study.content import StudyFindings

_MOST_CHANGES = 3
_NAME_CHARS = 60
_NAMES = ("name", "model_name", "model", "model_class_name")


class Reading:
    """Findings, and what can be read in them."""

    def __init__(self, findings: StudyFindings) -> None:
        self.findings = findings
        self.study = findings.study
        self.metric = findings.study.metric
        self.trials = findings.trials
        self._by_id = {trial.id: trial for trial in findings.trials}
        self._number = {trial.id: number for number, trial in enumerate(findings.trials, 1)}

    @cached_property
    def searched(self) -> list[Trial]:
        """What was tried to find something better than the baselines."""
        return [trial for trial in self.trials if trial.kind not in ("baseline", "test")]

    @cached_property
    def leaderboard(self) -> list[Standing]:
        return leaderboard(self.trials, self.metric, higher_is_better=self._higher)

    @cached_property
    def best(self) -> Standing | None:
        """What is believed to be best of what was tried; None where nothing has a score.

        What was measured once is believed only where nothing was measured again.
        """
        chosen = [s for s in self.leaderboard if self.findings.chosen in s.trials]
        again = [s for s in self.ranked if s.standard_error is not None]
        return next(iter(chosen or again or self.ranked), None)

    @cached_property
    def ranked(self) -> list[Standing]:
        """What was tried and has a score, the best first; baselines are not among it."""
        return [s for s in self.leaderboard if s.rank is not None and s.kind != "baseline"]

    @cached_property
    def best_baseline(self) -> Standing | None:
        """The best baseline but the one that is believed to be best of all."""
        return next((each for each in self.baselines if each is not self.best), None)

    @cached_property
    def baselines(self) -> list[Standing]:
        """Those that have a score, the best first."""
        return [s for s in self.leaderboard if s.rank is not None and s.kind == "baseline"]

    @cached_property
    def tests(self) -> list[Trial]:
        """Held-out tests that are done."""
        tests = [trial for trial in self.trials if trial.kind == "test"]
        return [trial for trial in tests if trial.score(self.metric) is not None]

    @cached_property
    def tree(self) -> tuple[Branch, ...]:
        return grow(self.searched, self.metric, higher_is_better=self._higher)

    @cached_property
    def points(self) -> list[Point]:
        found = progress(self.searched, self.metric, higher_is_better=self._higher)
        return [point._replace(number=self.number(point.trial)) for point in found]

    @cached_property
    def credits(self) -> list[Credit]:
        proposed = [trial for trial in self.searched if trial.kind != "ensemble"]
        return credits_of(proposed, self.metric, higher_is_better=self._higher)

    @cached_property
    def proposers(self) -> list[str]:
        """In the order in which they first proposed; the place says the colour."""
        return list(dict.fromkeys(trial.proposer for trial in self.searched))

    @cached_property
    def used(self) -> Used:
        used, worked_s = used_by(self.trials), self.findings.worked_s
        return used if worked_s is None else used._replace(worked_s=worked_s)

    @cached_property
    def failures(self) -> list[Trial]:
        return [t for t in self.trials if t.state in ("diverged", "failed", "interrupted")]

    @cached_property
    def repeated(self) -> list[tuple[Trial, ...]]:
        return duplicates(self.searched)

    def trial(self, trial_id: str) -> Trial | None:
        return self._by_id.get(trial_id)

    def first_of(self, standing: Standing) -> Trial:
        return self._by_id[standing.trials[0]]

    def number(self, trial: Trial) -> int:
        return self._number[trial.id]

    def name(self, trial: Trial) -> str:
        """What the trial's configuration calls itself; "" where it does not."""
        names = [trial.config.get(key) for key in _NAMES]
        name = next((name for name in names if isinstance(name, str) and name), "")
        return in_a_sentence(cut(on_one_line(name), _NAME_CHARS))

    def label(self, trial: Trial) -> str:
        """What the trial's configuration is called: its name if no other one has it, else with its
        number, and without a name its number.
        """
        name = self.name(trial)
        return name if self._named[name] == 1 else f"#{self.number(trial)} {name}".strip()

    def unscored(self, trial: Trial) -> str:
        """What stands in place of a score."""
        return f"no {self.metric}" if trial.state == "done" else trial.state

    def changed(self, trial: Trial) -> str:
        """What the trial changes of its parent, in a few words; "" without one.

        An ensemble changes nothing: it is told by what it consists of.
        """
        if trial.kind == "ensemble":
            return _members(trial)
        parent = self._by_id.get(trial.parent or "")
        if parent is None:
            return ""
        named = tuple(f"{key} " for key in _NAMES)
        told = [each for each in changes(parent, trial) if not each.startswith(named)]
        configured = [each for each in told if each != "code"] or told
        more = f" and {len(configured) - _MOST_CHANGES} more"
        some = ", ".join(configured[:_MOST_CHANGES])
        return some + more if len(configured) > _MOST_CHANGES else some

    @cached_property
    def _named(self) -> Counter[str]:
        """How many configurations have a name."""
        names = {(t.kind, t.fingerprint): self.name(t) for t in self.trials if t.kind != "test"}
        return Counter(name for name in names.values() if name)

    @property
    def _higher(self) -> bool:
        return self.study.higher_is_better


def _members(trial: Trial) -> str:
    weights = trial.config.get("weights")
    if not isinstance(weights, dict):
        return ""
    shares = [(name, share) for name, share in weights.items() if isinstance(share, int | float)]
    return ", ".join(f"{100 * share:.0f} % {name}" for name, share in shares)
