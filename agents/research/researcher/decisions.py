"""What a study tries next: a function of its request and of the trials that it may see.

explore   starting points and classical models first, then new candidates; the best climb the ladder
confirm   the best on all folds, one after the other, so that luck is told from merit
"""

import math
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from agents.ml.selection.facts import Facts
from agents.research.researcher.approval import may_ask_a_model
from agents.research.researcher.credit import Record, whose_turn
from agents.research.researcher.ladder import ETA, ladder
from agents.research.researcher.messages import RecipeProposed, Tried
from agents.research.researcher.noise import difference
from agents.research.researcher.recipes import starting_points
from agents.research.researcher.results import Results
from agents.research.researcher.search import propose_at_random, propose_by_search
from agents.research.researcher.space import Recipe, Space, space_for
from agents.research.researcher.state import Candidate, Study, Trial
from agents.research.researcher.steps import propose
from agents.research.researcher.tpe import propose_by_tpe

EXPLORING = 0.55  # of the budget
CONFIRMING = 0.9
_FOR_COMPLETING = 0.35  # of the budget: what two candidates on all folds may cost
_AHEAD = 2  # classical models before the first network
_TOLD = 8  # recipes, to a language model
_NO_MODEL = "NoLanguageModelError"
_ENOUGH_FOLDS = 3  # to drop a candidate that is behind
_BASELINES = {
    "table": (
        *("logistic_regression", "support_vectors", "k_nearest"),
        *("extra_trees", "random_forest", "gradient_boosting"),
    ),
    "image": ("support_vectors", "k_nearest", "extra_trees", "logistic_regression"),
    "text": ("naive_bayes", "logistic_regression"),
}


class Decision(NamedTuple):
    """A trial to be planned, and its candidate where that is new."""

    trial: Trial
    candidate: Candidate | None = None


def seen_by(study: Study, number: int) -> int:
    """How many of the first trials a decision about trial `number` sees: all but those that may
    still go on beside it.
    """
    return max(0, number - study.request.parallel + 1)


def visible(study: Study) -> int:
    """How many of the first trials the decision about the next one sees."""
    return seen_by(study, len(study.trials))


class Situation:
    """A study as the decision about its next trial sees it."""

    def __init__(self, study: Study, facts: Facts) -> None:
        self.study, self.facts = study, facts
        self.number = len(study.trials)
        self.seen_trials = study.trials[: visible(study)]
        self.seen = Results(study, visible(study))
        self.random = Random(f"{study.request.seed}/{self.number}")  # noqa: S311  no secret
        self.used = study.request.budget.used(study.elapsed_s, self.number)
        self.space: Space = space_for(facts.kind, facts.input_shape, facts.samples)
        self.epochs = ladder(facts, _affordable(study, facts))
        self.top = len(self.epochs) - 1

    def planned(self, rung: int) -> set[str]:
        """The candidates with a trial on a rung or above, whether it has ended or not."""
        trials = (t for t in self.study.trials if t.kind != "baseline")
        return {trial.candidate for trial in trials if trial.rung >= rung}

    def family(self, candidate: str) -> str:
        recipe = self.study.candidates[candidate].recipe or {}
        return str(recipe.get("family", ""))

    def planned_folds(self, candidate: str) -> set[int]:
        """The folds on which a candidate was or will be trained fully."""
        trials = (t for t in self.study.trials if t.candidate == candidate)
        return {trial.fold for trial in trials if trial.kind == "full"}

    def trial(self, candidate: str, rung: int, fold: int) -> Trial:
        return Trial(
            number=self.number,
            kind="full" if rung == self.top else "quick",
            candidate=candidate,
            rung=rung,
            fold=fold,
            epochs=self.epochs[rung],
        )

    def fits(self, trial: Trial) -> bool:
        """Whether the time that is left should be enough for a trial."""
        seconds = self.study.request.budget.seconds
        known = self.seen.cost_per_epoch([trial.candidate]) or self.seen.cost_per_epoch()
        if seconds is None or known is None:
            return True
        left = CONFIRMING * seconds - self.study.elapsed_s
        return known * trial.epochs <= left


def decide(study: Study, facts: Facts) -> Decision | None:
    """The next trial; None when the budget is spent, or nothing is left that is worth trying."""
    budget = study.request.budget
    if budget.trials is not None and len(study.trials) >= budget.trials:
        return None
    if budget.seconds is not None and study.elapsed_s >= CONFIRMING * budget.seconds:
        return None
    now = Situation(study, facts)
    steps: tuple[Callable[[Situation], Decision | None], ...] = (
        (_start, _climb, _explore) if now.used < EXPLORING else (_confirm, _climb, _explore)
    )
    for step in steps:
        decision = step(now)
        if decision is not None and now.fits(decision.trial):
            return decision
    return None


def _affordable(study: Study, facts: Facts) -> float:
    """The epochs of a full training of which two candidates can have one on every fold.

    It is known once the starting points were trained for a moment, and stays what it is then.
    """
    starts = _AHEAD + len(starting_points(facts.kind))
    seconds = study.request.budget.seconds
    if seconds is None or visible(study) < starts:
        return math.inf
    cost = Results(study, starts).cost_per_epoch()
    if cost is None:
        return math.inf
    workers = study.request.parallel
    return _FOR_COMPLETING * seconds * workers / (2 * facts.folds * cost)


def _start(now: Situation) -> Decision | None:
    """Two quick classical models, the starting points, then the other classical models."""
    starts, models = starting_points(now.facts.kind), _BASELINES[now.facts.kind]
    opening: tuple[str | Recipe, ...] = (*models[:_AHEAD], *starts, *models[_AHEAD:])
    if now.number >= len(opening):
        return None
    first = opening[now.number]
    if isinstance(first, str):
        return Decision(Trial(number=now.number, kind="baseline", candidate=first))
    name, why = f"c{now.number}", "known to work on data of this kind"
    recipe = now.space.completed(first, now.random)
    return Decision(
        now.trial(name, 0, 0), Candidate(name=name, proposer="seed", recipe=recipe, why=why)
    )


def _climb(now: Situation) -> Decision | None:
    """The best third of a rung, one rung up; from the top down.

    So does the best of each family, once: some learn slowly, and are not to be judged by others.
    """
    for rung in reversed(range(now.top)):
        measured = now.seen.on_rung(rung)
        above = now.planned(rung + 1)
        families = {now.family(name) for name in above}
        names = [result.trial.candidate for result in measured[: len(measured) // ETA]]
        if len(measured) >= ETA:
            others = (result.trial.candidate for result in measured)
            names += [name for name in others if now.family(name) not in families]
        for name in names:
            if name not in above:
                return Decision(now.trial(name, rung + 1, (rung + 1) % now.facts.folds))
    return None


def _explore(now: Situation) -> Decision | None:
    """A new candidate, by the proposer that has the turn."""
    proposer = whose_turn(_proposers(now), credits_of(now), now.random)
    name = f"c{now.number}"
    recipes = known_recipes(now.study, now.number)
    tried = list(recipes.values())
    match proposer:
        case "llm":
            why = "proposed by the language model"
            candidate = Candidate(name=name, proposer="llm", why=why)
            return Decision(now.trial(name, 0, 0), candidate)
        case "search":
            ranked = [(each, recipes[each]) for each in now.seen.ranked()]
            proposal = propose_by_search(now.space, ranked, tried, now.random)
        case "tpe":
            first = now.seen.on_rung(0)
            measured = [(recipes[r.trial.candidate], r.merit) for r in first]
            proposal = propose_by_tpe(now.space, measured, now.random)
        case _:
            proposal = propose_at_random(now.space, tried, now.random)
    candidate = Candidate(
        name=name,
        proposer=proposer,
        parents=proposal.parents,
        why=proposal.why,
        recipe=proposal.recipe,
    )
    return Decision(now.trial(name, 0, 0), candidate)


def known_recipes(study: Study, number: int) -> dict[str, Recipe]:
    """The recipes that a decision about trial `number` may know of.

    One that a language model is asked for may come sooner or later: it is known once its trial
    has ended for all decisions after.
    """
    ended = {trial.candidate for trial in study.trials[: seen_by(study, number)]}
    earlier = {trial.candidate for trial in study.trials[:number]}
    return {
        each.name: each.recipe
        for each in study.candidates.values()
        if each.recipe is not None and each.name in (ended if each.proposer == "llm" else earlier)
    }


def tried_before(study: Study, trial: Trial) -> tuple[Tried, ...]:
    """What a proposal for `trial` may know of: the best that had ended when it was planned."""
    seen = Results(study, seen_by(study, trial.number))
    best: dict[str, float] = {}
    for result in seen.all:
        if result.is_good and result.trial.kind != "baseline":
            best[result.trial.candidate] = result.metrics["accuracy"]
    names = [name for name in seen.ranked() if study.candidates[name].recipe is not None]
    return tuple(
        Tried(recipe=study.candidates[name].recipe or {}, accuracy=best[name])
        for name in names[:_TOLD]
    )


def _proposers(now: Situation) -> tuple[str, ...]:
    """Who may propose: a language model as long as there is one, and tokens for it."""
    request, steps = now.study.request, now.study.steps
    names = {propose(trial.candidate) for trial in now.seen_trials}
    asked = [steps[name] for name in names if name in steps]
    tokens = sum((step.answer or {}).get("tokens", 0) for step in asked)
    is_missing = any(_NO_MODEL in step.error for step in asked)
    if tokens < request.budget.tokens and not is_missing and may_ask_a_model(now.study):
        return request.proposers
    return tuple(each for each in request.proposers if each != "llm") or ("search",)


def credits_of(now: Situation) -> dict[str, Record]:
    """What came of the candidates of each proposer, as far as it is seen."""
    records: dict[str, Record] = {}
    climbed = {r.trial.candidate for r in now.seen.all if r.trial.rung > 0}
    for result in now.seen.all:
        if result.trial.kind == "baseline" or result.trial.rung > 0:
            continue
        candidate = now.study.candidates[result.trial.candidate]
        known = records.get(candidate.proposer, Record())
        is_success = candidate.name in climbed and not candidate.is_repeat
        records[candidate.proposer] = Record(
            known.successes + is_success,
            known.failures + (not is_success),
            known.seconds + result.cost_s + _proposing_s(now.study, candidate),
        )
    return records


def _proposing_s(study: Study, candidate: Candidate) -> float:
    answer = study.done(propose(candidate.name), RecipeProposed)
    return answer.seconds if answer is not None else 0.0


def _confirm(now: Situation) -> Decision | None:
    """The next fold of the best candidate that is still in the running."""
    estimates = now.seen.estimates(now.top)
    by_merit = sorted(estimates, key=lambda name: -estimates[name].mean)
    complete = [n for n in by_merit if len(now.seen.full(n, now.top)) == now.facts.folds]
    for name in by_merit:
        if complete and _is_behind(now, name, complete[0]):
            continue
        missing = set(range(now.facts.folds)) - now.planned_folds(name)
        if missing:
            return Decision(now.trial(name, now.top, min(missing)))
    for name in now.seen.ranked():
        if not now.planned_folds(name):
            return Decision(now.trial(name, now.top, now.top % now.facts.folds))
    return None


def _is_behind(now: Situation, name: str, best: str) -> bool:
    """Whether `name` is worse than `best` by more than a standard error, by what both ran on."""
    mine = {fold: r.merit for fold, r in now.seen.full(name, now.top).items()}
    theirs = {fold: r.merit for fold, r in now.seen.full(best, now.top).items()}
    apart = difference(mine, theirs)
    return apart is not None and apart.n >= _ENOUGH_FOLDS and apart.mean + apart.error < 0
