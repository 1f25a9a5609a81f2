"""What a run asks for next: a function of what has been answered so far, and of nothing else.

text     corpus -> tokenizer -> sample
                             -> language model -> completion
search   the researcher, by itself
images   blocks -> for each architecture: assemble -> summarise, evaluate
                -> train the best (the next best if that fails) -> held-out test
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from agents.llm.bus.messages import GenerationPromptRequest
from agents.research.architectures import shipped_architectures
from agents.research.messages import (
    AssembleModel,
    CollectCorpus,
    CorpusCollected,
    EvaluateCheckpoint,
    EvaluateQuickly,
    LanguageModelTrained,
    ManageTokenizer,
    ModelAssembled,
    PrepareRun,
    QuickEvaluation,
    RunPrepared,
    SummariseModel,
    TokenizerTrained,
    TrainFully,
    TrainingFinished,
    TrainLanguageModel,
)
from agents.research.researcher.messages import StudyRequest
from agents.research.run import Run
from agents.research.study import ImageStudy, ResearchRequest, SearchStudy, TextStudy

Role = Literal["assembler", "trainer", "tokenizer", "reporter", "phi", "researcher"]

BLOCKS = "custom blocks"
CORPUS = "corpus"
TOKENIZER = "tokenizer"
SAMPLE = "sample tokenisation"
LANGUAGE_MODEL = "language model"
COMPLETION = "completion"
SEARCH = "search"
TEST = "held-out test"
REPORT = "report"

END_OF_TEXT = "<|endoftext|>"
RANKED_BY = "accuracy"
_WARMUP_SHARE = 10
_EVALUATIONS = 8


class Ask(NamedTuple):
    """A message that a step sends, and who gets it."""

    step: str
    to: Role
    message: BaseModel


def next_asks(run: Run) -> list[Ask]:
    """The steps that can be asked for now and were not yet."""
    return [ask for ask in _study(run) if ask.step not in run.steps]


def step_count(request: ResearchRequest) -> int:
    """How many steps the run takes when nothing fails, the report included."""
    text = 5 if request.text is not None else 0
    images = 3 + 3 * len(architectures(request)) if request.images is not None else 0
    search = 1 if request.search is not None else 0
    return text + search + images + 1


def architectures(request: ResearchRequest) -> tuple[dict[str, Any], ...]:
    """The model configs of the study; none without images."""
    if request.images is None:
        return ()
    shipped = shipped_architectures(request.folder, request.images.num_classes)
    return request.images.architectures or shipped


def assemble(name: str) -> str:
    return f"assemble {name}"


def summarise(name: str) -> str:
    return f"summarise {name}"


def evaluate(name: str) -> str:
    return f"evaluate {name}"


def train(name: str) -> str:
    return f"train {name}"


def served_model_path(request: ResearchRequest) -> str:
    """Where the Phi agent finds the language model that was made last."""
    return f"{request.runs_dir}/_served/language_model"


def ranking(run: Run) -> list[str]:
    """Architectures that were evaluated, the best first."""
    scored = []
    for config in architectures(run.request):
        name = config["model_name"]
        evaluation = run.done(evaluate(name), QuickEvaluation)
        score = evaluation.metrics.get(RANKED_BY) if evaluation is not None else None
        if score is not None:
            scored.append((score, name))
    return [name for _, name in sorted(scored, key=lambda pair: -pair[0])]


def trained_architecture(run: Run) -> str | None:
    """The architecture whose full training is done."""
    return next((n for n in ranking(run) if run.done(train(n), TrainingFinished)), None)


def _study(run: Run) -> Iterator[Ask]:
    if run.request.text is not None:
        yield from _text(run, run.request.text)
    if run.request.search is not None:
        yield Ask(SEARCH, "researcher", _search(run.request, run.request.search))
    if run.request.images is not None:
        yield from _images(run, run.request.images)


def _search(request: ResearchRequest, search: SearchStudy) -> StudyRequest:
    """A study of the run's name, in the run's folder."""
    return StudyRequest(name=request.name, runs_dir=request.runs_dir, **dict(search))


def _text(run: Run, text: TextStudy) -> Iterator[Ask]:
    path = f"{run.request.folder}/corpus.txt"
    yield Ask(CORPUS, "tokenizer", CollectCorpus(output_path=path, max_bytes=text.corpus_bytes))
    if run.done(CORPUS, CorpusCollected) is None:
        return
    yield Ask(TOKENIZER, "tokenizer", _train_tokenizer(run.request, text, path))
    tokenizer = run.done(TOKENIZER, TokenizerTrained)
    if tokenizer is None:
        return
    name = tokenizer.tokenizer_name
    sample = ManageTokenizer(action="apply", tokenizer_name=name, text_input=text.sample)
    yield Ask(SAMPLE, "tokenizer", sample)
    model = _train_language_model(run.request, text, path, tokenizer.tokenizer_path)
    yield Ask(LANGUAGE_MODEL, "trainer", model)
    if run.done(LANGUAGE_MODEL, LanguageModelTrained) is not None:
        yield Ask(COMPLETION, "phi", GenerationPromptRequest(generation_prompt=text.prompt))


def _images(run: Run, images: ImageStudy) -> Iterator[Ask]:
    yield Ask(BLOCKS, "reporter", PrepareRun(folder=run.request.folder))
    if run.done(BLOCKS, RunPrepared) is None:
        return
    for config in architectures(run.request):
        yield from _look_at(run, images, config)
    if not all(_is_settled(run, config["model_name"]) for config in architectures(run.request)):
        return
    for name in ranking(run):
        yield Ask(train(name), "trainer", _train_fully(run, images, name))
        if (trained := run.done(train(name), TrainingFinished)) is not None:
            test = EvaluateCheckpoint(experiment_dir=trained.result["experiment_dir"])
            yield Ask(TEST, "trainer", test)
        if not run.failed(train(name)):
            return


def _look_at(run: Run, images: ImageStudy, config: dict[str, Any]) -> Iterator[Ask]:
    name = config["model_name"]
    path = f"{run.request.folder}/models/{name}.py"
    yield Ask(assemble(name), "assembler", AssembleModel(config=config, output_script_path=path))
    made = run.done(assemble(name), ModelAssembled)
    if made is None:
        return
    shape = (1, *config["input_shape"])
    summary = SummariseModel(
        model_script_path=made.script_path, model_class_name=made.model_name, input_size=shape
    )
    yield Ask(summarise(name), "assembler", summary)
    evaluation = EvaluateQuickly(
        model_script_path=made.script_path,
        model_class_name=made.model_name,
        eval_config={
            "dataset": images.dataset,
            "num_classes": images.num_classes,
            "batch_size": images.batch_size,
            "epochs": images.quick_epochs,
            "optimizer": "Adam",
            "learning_rate": images.learning_rate,
            "loss_function": "CrossEntropyLoss",
            "metrics": [RANKED_BY, "f1"],
            "seed": images.seed,
        },
    )
    yield Ask(evaluate(name), "trainer", evaluation)


def _is_settled(run: Run, name: str) -> bool:
    """Whether it is known what `name` is worth, or that it does not work."""
    return run.failed(assemble(name)) or run.has_ended(evaluate(name))


def _train_fully(run: Run, images: ImageStudy, name: str) -> TrainFully:
    made = run.done(assemble(name), ModelAssembled)
    assert made is not None  # only what was assembled is ever ranked
    return TrainFully(
        model_script_path=made.script_path,
        model_class_name=made.model_name,
        trainer_config={
            "dataset": images.dataset,
            "num_classes": images.num_classes,
            "batch_size": images.batch_size,
            "epochs": images.max_epochs,
            "optimizer": {
                "type": "AdamW",
                "params": {"lr": images.learning_rate, "weight_decay": 0.01},
            },
            "scheduler": {"type": "CosineAnnealingLR", "params": {"T_max": images.max_epochs}},
            "loss_function": "CrossEntropyLoss",
            "metrics": ["accuracy", "f1"],
            "checkpoint_interval": 1,
            "save_best_model": True,
            "early_stopping": {"metric": "val_loss", "patience": images.patience, "mode": "min"},
            "seed": images.seed,
        },
        experiment_name=name,
        log_base_dir=_experiments(run.request),
    )


def _train_tokenizer(request: ResearchRequest, text: TextStudy, corpus: str) -> ManageTokenizer:
    return ManageTokenizer(
        action="train",
        tokenizer_name=f"{request.name}-bpe",
        tokenizer_path=f"{request.folder}/tokenizer",
        config={
            "type": "BPE",
            "vocab_size": text.vocab_size,
            "data_files": [corpus],
            "special_tokens": [END_OF_TEXT],
            "min_frequency": 2,
        },
    )


def _train_language_model(
    request: ResearchRequest, text: TextStudy, corpus: str, tokenizer: str
) -> TrainLanguageModel:
    interval = max(1, text.max_steps // _EVALUATIONS)
    return TrainLanguageModel(
        config={
            "corpus_files": [corpus],
            "tokenizer_path": tokenizer,
            "architecture": {
                "hidden_size": text.hidden_size,
                "num_layers": text.layers,
                "num_heads": text.heads,
                "context_length": text.context_length,
            },
            "steps": text.max_steps,
            "batch_size": text.batch_size,
            "learning_rate": text.learning_rate,
            "warmup_steps": text.max_steps // _WARMUP_SHARE,
            "eval_every_steps": interval,
            "checkpoint_every_steps": interval,
            "sample_prompts": [text.prompt],
            "seed": text.seed,
        },
        output_dir=f"{request.folder}/language_model",
        experiment_name="language_model",
        log_base_dir=_experiments(request),
        serve_as=served_model_path(request),
    )


def _experiments(request: ResearchRequest) -> str:
    return f"{request.folder}/experiments"
