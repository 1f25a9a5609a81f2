"""What a study asks for next: a function of its state, and of nothing else.

(approvals ->) data -> trials: (tokenizer ->) assemble -> train without one fold -> score
     -> ensemble -> held-out test
"""

from collections.abc import Generator, Iterator
from random import Random

from agents.ml.selection.facts import Facts
from agents.research.messages import (
    AssembleModel,
    ManageTokenizer,
    ModelAssembled,
    TokenizerTrained,
)
from agents.research.researcher.approval import StudyApprovals, approvals_of, why_refused
from agents.research.researcher.conclusion import complete, contestants
from agents.research.researcher.decisions import decide, known_recipes, tried_before, visible
from agents.research.researcher.messages import (
    BlendModels,
    DealData,
    FitBaseline,
    OpenTest,
    ProposeRecipe,
    RecipeProposed,
    RunTrial,
)
from agents.research.researcher.places import Places, class_name, tokenizer_name
from agents.research.researcher.recipes import (
    model_config,
    tokenizer_config,
    training_config,
)
from agents.research.researcher.space import Recipe, space_for
from agents.research.researcher.state import Candidate, Study, Trial
from agents.research.researcher.steps import (
    BLEND,
    DATA,
    TEST,
    assemble,
    has_ended,
    learn_tokenizer,
    propose,
)
from agents.research.stepwise.asking import Ask

_MAX_TEST_SAMPLES = 10_000
_LEAST_S = 1.0  # for a trial
_BASELINE_SHARE = 0.2  # of the time: a classical model that takes longer is left
_FOR_THE_END = 0.95


def next_asks(study: Study, approvals: StudyApprovals | None = None) -> list[Ask]:
    """What can be asked for now and was not yet; trials that follow are planned on the way."""
    return [ask for ask in _asks(study, approvals) if ask.step not in study.steps]


def _asks(study: Study, approvals: StudyApprovals | None) -> Iterator[Ask]:
    wanted = approvals_of(study, approvals)
    yield from wanted
    if why_refused(study) or not all(study.has_ended(ask.step) for ask in wanted):
        return
    places = Places(study.request.folder)
    yield Ask(DATA, "trainer", _deal(study, places))
    facts = study.facts
    if facts is None:
        return
    _plan(study, facts)
    for trial in study.trials:
        if not has_ended(study, trial):
            yield from _trial(study, trial, facts, places)
    if all(has_ended(study, trial) for trial in study.trials):
        yield from _conclude(study, facts, places)


def _plan(study: Study, facts: Facts) -> None:
    """Plan trials as long as what they depend on is known."""
    if BLEND in study.steps or TEST in study.steps:
        return
    while all(has_ended(study, trial) for trial in study.trials[: visible(study)]):
        decision = decide(study, facts)
        if decision is None:
            return
        study.trials.append(decision.trial)
        if decision.candidate is not None:
            study.candidates[decision.candidate.name] = decision.candidate


def _deal(study: Study, places: Places) -> DealData:
    request = study.request
    return DealData(
        data=places.data,
        dataset=request.dataset,
        dataset_params=request.dataset_params,
        folds=request.folds,
        max_samples=request.max_samples,
        max_test_samples=_MAX_TEST_SAMPLES,
        split=request.split,
    )


def _trial(study: Study, trial: Trial, facts: Facts, places: Places) -> Generator[Ask, None, None]:
    if trial.kind == "baseline":
        yield Ask(trial.step, "trainer", _baseline(study, trial, places))
        return
    candidate = study.candidates[trial.candidate]
    if candidate.recipe is None:
        candidate = yield from _proposed(study, trial, facts)
    if candidate.recipe is None:
        return
    vocabulary = None
    if facts.kind == "text":
        step = learn_tokenizer(candidate.recipe)
        yield Ask(step, "tokenizer", _tokenizer(study, candidate.recipe, places))
        learned = study.done(step, TokenizerTrained)
        if learned is None:
            return
        vocabulary = learned.vocab_size
    name = class_name(candidate.name)
    config = model_config(candidate.recipe, name, facts.input_shape, facts.classes, vocabulary)
    script = places.script(candidate.name)
    code = AssembleModel(config=config, output_script_path=script)
    yield Ask(assemble(candidate.name), "assembler", code)
    if study.done(assemble(candidate.name), ModelAssembled) is not None:
        yield Ask(trial.step, "trainer", _training(study, trial, candidate, places))


def _proposed(study: Study, trial: Trial, facts: Facts) -> Generator[Ask, None, Candidate]:
    """Have a language model propose a candidate's recipe; one that was tried is moved a little."""
    candidate = study.candidates[trial.candidate]
    random = Random(f"{study.request.seed}/{trial.number}/moved")  # noqa: S311  no secret
    step = propose(candidate.name)
    seed = random.randrange(2**31)
    asked = ProposeRecipe(facts=facts, tried=tried_before(study, trial), seed=seed)
    yield Ask(step, "assembler", asked)
    answer = study.done(step, RecipeProposed)
    if answer is None:
        return candidate
    space = space_for(facts.kind, facts.input_shape, facts.samples)
    others = list(known_recipes(study, trial.number).values())
    recipe, why = answer.recipe, candidate.why
    while recipe in others:
        recipe, why = space.move(recipe, random), f"{candidate.why}; moved: it was tried before"
    candidate = candidate.model_copy(
        update={"recipe": recipe, "why": why, "is_repeat": answer.recipe in others}
    )
    study.candidates[candidate.name] = candidate
    study.tokens += answer.tokens
    return candidate


def _training(study: Study, trial: Trial, candidate: Candidate, places: Places) -> RunTrial:
    recipe = candidate.recipe
    assert recipe is not None  # it was assembled
    is_text = "tokenizer" in recipe
    return RunTrial(
        data=places.data,
        trial=trial.id,
        script=places.script(candidate.name),
        class_name=class_name(candidate.name),
        training=training_config(recipe, trial.epochs),
        fold=trial.fold,
        seed=study.request.seed + trial.fold,
        tokenizer=places.tokenizer(recipe) if is_text else None,
        length=recipe["length"] if is_text else None,
        timeout_s=_time_left(study),
    )


def _baseline(study: Study, trial: Trial, places: Places) -> FitBaseline:
    seconds, left = study.request.budget.seconds, _time_left(study)
    return FitBaseline(
        data=places.data,
        trial=trial.id,
        model=trial.candidate,
        seed=study.request.seed,
        timeout_s=None
        if seconds is None or left is None
        else min(left, max(_LEAST_S, _BASELINE_SHARE * seconds)),
    )


def _tokenizer(study: Study, recipe: Recipe, places: Places) -> ManageTokenizer:
    return ManageTokenizer(
        action="train",
        tokenizer_name=f"{study.request.name}-{tokenizer_name(recipe)}",
        tokenizer_path=places.tokenizer(recipe),
        config=tokenizer_config(recipe, places.corpus),
    )


def _time_left(study: Study) -> float | None:
    seconds = study.request.budget.seconds
    if seconds is None:
        return None
    return max(_LEAST_S, _FOR_THE_END * seconds - study.elapsed_s)


def _conclude(study: Study, facts: Facts, places: Places) -> Iterator[Ask]:
    """The ensemble, then the one look at the held-out test."""
    members = complete(study, facts)
    if len(members) > 1:
        folders = {each.name: [t.id for t in each.trials] for each in members}
        yield Ask(BLEND, "trainer", BlendModels(data=places.data, candidates=folders))
        if not study.has_ended(BLEND):
            return
    shown = contestants(study, facts)
    if shown:
        test = OpenTest(data=places.data, contestants=shown)
        yield Ask(TEST, "trainer", test)
