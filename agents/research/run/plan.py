"""What a run asks for next: a function of its state, and of nothing else.

text     corpus -> tokenizer -> sample
                             -> language model -> completion
search   the researcher, by itself
"""

from collections.abc import Iterator

from agents.llm.bus.messages import GenerationPromptRequest
from agents.research.messages import (
    CollectCorpus,
    CorpusCollected,
    LanguageModelTrained,
    ManageTokenizer,
    TokenizerTrained,
    TrainLanguageModel,
)
from agents.research.researcher.messages import StudyRequest
from agents.research.run.messages import ResearchReport, ResearchRequest, SearchStudy, TextStudy
from agents.research.stepwise.asking import Ask
from agents.research.stepwise.work import Work

CORPUS = "corpus"
TOKENIZER = "tokenizer"
SAMPLE = "sample tokenisation"
LANGUAGE_MODEL = "language model"
COMPLETION = "completion"
SEARCH = "search"
REPORT = "report"

END_OF_TEXT = "<|endoftext|>"
_WARMUP_SHARE = 10
_EVALUATIONS = 8


class Run(Work[ResearchRequest, ResearchReport]):
    """The state of a run; see `Work`."""


def next_asks(run: Run) -> list[Ask]:
    """The steps that can be asked for now and were not yet."""
    return [ask for ask in _study(run) if ask.step not in run.steps]


def step_count(request: ResearchRequest) -> int:
    """How many steps the run takes when nothing fails, the report included."""
    text = 5 if request.text is not None else 0
    search = 1 if request.search is not None else 0
    return text + search + 1


def served_model_path(request: ResearchRequest) -> str:
    """Where the Phi agent finds the language model that was made last."""
    return f"{request.runs_dir}/_served/language_model"


def _study(run: Run) -> Iterator[Ask]:
    if run.request.text is not None:
        yield from _text(run, run.request.text)
    if run.request.search is not None:
        yield Ask(SEARCH, "researcher", _search(run.request, run.request.search))


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
