"""What a study asks for: everything once, within its budget, whatever comes back first."""

from collections import Counter
from random import Random

import pytest

from agents.research.researcher import conclusion
from agents.research.researcher.budget import Budget
from agents.research.researcher.credit import Record, whose_turn
from agents.research.researcher.decisions import Situation, credits_of
from agents.research.researcher.loop import next_asks
from agents.research.researcher.messages import FitBaseline, OpenTest, RunTrial
from agents.research.researcher.space import space_for
from agents.research.researcher.state import Study
from agents.research.stepwise.asking import Ask
from agents.research.stepwise.work import Step
from tests.research.researcher.world import FACTS, TOKENS, answer, live, problems_of, study


def told(one: Study) -> list[tuple[str, int, int, int]]:
    return [(t.candidate, t.rung, t.fold, t.epochs) for t in one.trials]


def test_nothing_is_asked_twice_and_the_test_comes_last() -> None:
    asks = live(study())
    assert max(Counter(ask.step for ask in asks).values()) == 1
    assert isinstance(asks[-1].message, OpenTest)
    assert sum(isinstance(ask.message, OpenTest) for ask in asks) == 1


@pytest.mark.parametrize("trials", [1, 2, 7, 30])
def test_a_budget_of_trials_is_kept(trials: int) -> None:
    asks = live(study(trials))
    tried = [a for a in asks if isinstance(a.message, RunTrial | FitBaseline)]
    assert len(tried) == trials


@pytest.mark.parametrize("seconds", [30.0, 60.0, 300.0])
def test_a_budget_of_time_is_kept_and_used(seconds: float) -> None:
    one = study()
    one.request = one.request.model_copy(update={"budget": Budget(seconds=seconds)})
    live(one)
    assert 0.75 * seconds < one.elapsed_s <= seconds


@pytest.mark.parametrize("parallel", [1, 2, 5])
@pytest.mark.parametrize("order", range(4))
def test_what_is_tried_does_not_depend_on_which_answer_comes_first(
    parallel: int, order: int
) -> None:
    straight, shuffled = study(parallel=parallel), study(parallel=parallel)
    live(straight)
    live(shuffled, choose=Random(order).choice)
    assert told(straight) == told(shuffled)
    assert straight.candidates == shuffled.candidates
    one, other = (conclusion.findings(each, FACTS) for each in (straight, shuffled))
    assert one == other


@pytest.mark.parametrize("parallel", [1, 3])
def test_no_more_trials_than_asked_for_go_on_at_once(parallel: int) -> None:
    most = 0

    def watch(waiting: list[Ask]) -> Ask:
        nonlocal most
        most = max(most, sum(isinstance(a.message, RunTrial | FitBaseline) for a in waiting))
        return waiting[0]

    live(study(parallel=parallel), choose=watch)
    assert most <= parallel


def test_a_study_goes_on_from_what_is_stored_at_any_moment() -> None:
    whole = study(20)
    live(whole)

    resumed = study(20)
    while asks := next_asks(resumed):
        said = answer(asks[0].message).model_dump(mode="json")
        step = Step(agent=asks[0].to, asked_at=0.0, ended_at=1.0, answer=said)
        resumed.steps[asks[0].step] = step
        resumed = Study.model_validate_json(resumed.model_dump_json())
    assert told(resumed) == told(whole)


def test_no_candidate_is_trained_twice_on_the_same_fold_for_the_same_time() -> None:
    one = study(60)
    live(one)
    assert max(Counter(told(one)).values()) == 1


def test_no_recipe_is_tried_twice() -> None:
    one = study(60)
    live(one)
    recipes = [str(candidate.recipe) for candidate in one.candidates.values()]
    assert len(set(recipes)) == len(recipes)


def test_most_are_trained_for_a_moment_and_the_best_on_every_fold() -> None:
    one = study(60)
    live(one)
    by_rung = Counter(t.rung for t in one.trials if t.kind != "baseline" and t.fold == t.rung % 3)
    assert by_rung[0] > by_rung[1] > 0
    complete = [c for c in conclusion.networks(one) if len(c.per_fold) == FACTS.folds]
    assert complete


def test_a_model_that_cannot_be_assembled_is_left_and_the_study_goes_on() -> None:
    one = study(30)
    live(one, fails=lambda ask: ask.step in {"assemble c2", "trial 3"})
    assert len(one.trials) == 30
    assert conclusion.chosen(one, FACTS) is not None
    assert all(finding.name not in {"c2", "c3"} for finding in conclusion.findings(one, FACTS))


def test_a_study_in_which_nothing_works_asks_for_no_test() -> None:
    one = study(12)
    asks = live(one, fails=lambda ask: ask.step != "data")
    assert not any(isinstance(ask.message, OpenTest) for ask in asks)
    assert conclusion.chosen(one, FACTS) is None


def test_a_seed_decides_what_is_tried() -> None:
    first, same, other = study(), study(), study(seed=1)
    for one in (first, same, other):
        live(one)
    assert first.candidates == same.candidates
    assert first.candidates != other.candidates


@pytest.mark.parametrize("order", range(4))
def test_with_several_proposers_the_order_of_answers_changes_nothing(order: int) -> None:
    asked = {"proposers": ("search", "llm", "random"), "parallel": 3}
    straight, shuffled = study(50, **asked), study(50, **asked)
    live(straight)
    live(shuffled, choose=Random(order).choice)
    assert told(straight) == told(shuffled)
    assert straight.candidates == shuffled.candidates
    assert {each.proposer for each in straight.candidates.values()} > {"search", "llm"}


def test_a_language_model_proposes_as_long_as_its_tokens_last() -> None:
    one = study(60, proposers=("llm",), parallel=1)
    one.request = one.request.model_copy(
        update={"budget": Budget(seconds=None, trials=60, tokens=500)}
    )
    live(one)
    assert one.tokens == 5 * TOKENS
    assert "search" in {each.proposer for each in one.candidates.values()}


def test_a_language_model_that_is_not_there_is_asked_no_more() -> None:
    one = study(60, proposers=("llm", "search"), parallel=1)
    live(one, fails=lambda ask: ask.step.startswith("propose"), says="NoLanguageModelError: none")
    asked = [step for step in one.steps if step.startswith("propose")]
    assert len(asked) == 1
    assert len(one.trials) == 60


def test_a_proposal_that_was_tried_before_is_moved_a_little() -> None:
    one = study(60, proposers=("llm",), parallel=1)
    live(one)
    recipes = [str(each.recipe) for each in one.candidates.values()]
    assert len(set(recipes)) == len(recipes)
    assert any("tried before" in each.why for each in one.candidates.values())


def test_optunas_tpe_proposes_where_it_is_installed() -> None:
    pytest.importorskip("optuna")
    one, same = study(30, proposers=("tpe",)), study(30, proposers=("tpe",))
    live(one)
    live(same)
    assert one.candidates == same.candidates
    proposed = [each for each in one.candidates.values() if each.proposer == "tpe"]
    assert proposed
    space = space_for(FACTS.kind, FACTS.input_shape, FACTS.samples)
    assert all(problems_of(space, each.recipe or {}) == [] for each in proposed)


def test_who_finds_more_proposes_more() -> None:
    records = {"search": Record(20, 10, 30.0), "llm": Record(1, 30, 31.0)}
    assert turns(records)["search"] > 190
    assert min(turns({}).values()) > 60


def test_a_proposer_that_takes_longer_has_to_find_more() -> None:
    even = {"search": Record(20, 20, 40.0), "llm": Record(20, 20, 40.0)}
    assert min(turns(even).values()) > 60
    slow = even | {"llm": Record(20, 20, 400.0)}
    assert turns(slow)["search"] > 190
    slow_and_good = {"search": Record(2, 38, 40.0), "llm": Record(38, 2, 80.0)}
    assert turns(slow_and_good)["llm"] > 190


def test_a_proposer_that_was_never_tried_is_tried_whatever_the_others_cost() -> None:
    for seconds in (1e-3, 1e3):
        assert turns({"search": Record(10, 10, seconds)})["llm"] > 60


def turns(records: dict[str, Record]) -> Counter[str]:
    return Counter(whose_turn(("search", "llm"), records, Random(n)) for n in range(200))


def test_what_repeats_an_earlier_recipe_earns_its_proposer_nothing() -> None:
    one = study(60, proposers=("llm",), parallel=1)
    live(one)
    repeats = {each.name for each in one.candidates.values() if each.is_repeat}
    climbed = {trial.candidate for trial in one.trials if trial.rung > 0}
    own = {name for name, each in one.candidates.items() if each.proposer == "llm"} - repeats
    assert repeats & climbed
    assert credits_of(Situation(one, FACTS))["llm"].successes == len(own & climbed)
