"""What the research agents are asked and what they answer, one pair per tool.

Parameters, defaults and results are those of the tools' document; paths are relative to the
workspace. Importable without torch.
"""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from agents.llm.dialogue.usage import Usage
from agents.ml.training.fields import (
    EvaluateCheckpointFields,
    QuickEvaluateFields,
    TrainFields,
    TrainLanguageModelFields,
)
from agents.research.report.content import ReportContent
from agents.research.researcher.messages import StudyReport
from messaging.wire.message import Message


class AssembleModel(Message, wire_name="research.assemble"):
    """Write the `nn.Module` that `model_config` describes to `output_script_path`.

    pydantic keeps the attribute name `model_config` for itself: in Python the field is `config`;
    as a keyword, in YAML and in JSON it is `model_config`.
    """

    model_config = ConfigDict(
        validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )

    config: dict[str, Any] = Field(alias="model_config")
    output_script_path: str


class ModelAssembled(Message, wire_name="research.assembled"):
    """The code is written and passed the gate.

    Attributes:
        generated_by: who wrote it.
        wrote: what the language model wrote, if it was asked: layers for the compiler, or code.
        attempts: how often it was written until it passed.
        usage: what the language model's answers cost, those that did not pass too.
        checks: what the gate looked at.
    """

    model_name: str
    script_path: str
    generated_by: Literal["compiler", "llm"]
    wrote: Literal["layers", "code"] | None = None
    attempts: int
    usage: Usage | None = None
    checks: tuple[str, ...]
    total_params: int
    output_shape: tuple[int, ...] = ()


class SummariseModel(Message, wire_name="research.summarise"):
    model_script_path: str
    model_class_name: str
    input_size: tuple[int, ...]


class ModelSummarised(Message, wire_name="research.summarised"):
    """What was counted, and what a language model says of it.

    Attributes:
        summary_str: a table, and `prose` above it.
        flops: two per multiply-accumulate, for `input_size` as asked.
        prose: words without numbers; "" where there is no language model, or it wrote none.
        prose_problem: why it wrote none.
        generated_by: who wrote the prose; all numbers are counted.
        attempts: how often the language model was asked; 0 when an answer from before served.
        usage: what its answers cost.
    """

    summary_str: str
    total_params: int
    trainable_params: int
    flops: int
    macs: int
    layer_details: list[dict[str, Any]]
    prose: str = ""
    prose_problem: str = ""
    generated_by: Literal["llm"] | None = None
    attempts: int = 0
    usage: Usage | None = None


class EvaluateQuickly(QuickEvaluateFields, Message, wire_name="research.evaluate_quickly"): ...


class QuickEvaluation(Message, wire_name="research.quick_evaluation"):
    """What a few epochs gave, on the validation split.

    Attributes:
        metrics: final values by name, and what chance alone would give.
        result: the tool's whole dictionary.
    """

    metrics: dict[str, float]
    result: dict[str, Any]
    seconds: float


class TrainFully(TrainFields, Message, wire_name="research.train"):
    """Train with checkpoints; the same experiment name and config resumes where it was."""


class TrainingFinished(Message, wire_name="research.trained"):
    """`result` is the tool's dictionary: history, best checkpoint path, final metrics."""

    result: dict[str, Any]
    seconds: float


class EvaluateCheckpoint(
    EvaluateCheckpointFields, Message, wire_name="research.evaluate_checkpoint"
):
    """Measure a checkpoint of an experiment on one split, the held-out test set by default.

    Attributes:
        experiment_dir: what the full trainer's result called so.
        checkpoint: "best", "last" or the path of a checkpoint.
        metrics: None for those the experiment was trained with.
    """


class CheckpointEvaluated(Message, wire_name="research.checkpoint_evaluated"):
    """`result` holds metrics by name, the loss, the confusion matrix and the class names."""

    result: dict[str, Any]
    seconds: float


class TrainLanguageModel(
    TrainLanguageModelFields, Message, wire_name="research.train_language_model"
):
    """Train a small Phi on text and save it as a Hugging Face folder, resuming like `TrainFully`.

    Attributes:
        config: as `agents.ml.training.configs.LanguageModelConfig` describes it.
        output_dir: the folder to save to.
        serve_as: a link for a server, which points to the folder once that is complete.
    """

    serve_as: str | None = None


class LanguageModelTrained(Message, wire_name="research.language_model_trained"):
    """`result` holds the history, the final losses and the bits per byte."""

    model_path: str
    result: dict[str, Any]
    seconds: float


class CollectCorpus(Message, wire_name="research.collect_corpus"):
    """Gather Python's own standard library sources, sorted by path, into one text file."""

    output_path: str
    max_bytes: int = Field(default=2_000_000, ge=1)


class CorpusCollected(Message, wire_name="research.corpus_collected"):
    path: str
    size_bytes: int
    files: int


TokenizerType = Literal["BPE", "WordPiece", "CharLevel"]


class AdviseTokenizer(Message, wire_name="research.advise_tokenizer"):
    """Recommend a tokenizer for text files.

    Attributes:
        type: where that is settled.
        special_tokens: what the vocabulary holds besides; by default as for a training.
    """

    data_files: tuple[str, ...] = Field(min_length=1)
    type: TokenizerType | None = None
    special_tokens: tuple[str, ...] | None = None


class TokenizerAdvised(Message, wire_name="research.tokenizer_advised"):
    """What would suit a corpus.

    Attributes:
        reasons: a sentence each.
        facts: what a sample of the text shows: sizes, token lengths, diversity.
        generated_by: who chose; arithmetic where there is no language model, or it gave no advice.
        attempts: how often the language model was asked; 0 when an answer from before served.
        usage: what its answers cost.
    """

    type: TokenizerType
    vocab_size: int
    reasons: tuple[str, ...]
    facts: dict[str, Any]
    generated_by: Literal["arithmetic", "llm"]
    attempts: int = 0
    usage: Usage | None = None


class ManageTokenizer(Message, wire_name="research.tokenizer"):
    """Train, load or apply a tokenizer; `action` says which of the other keys are read.

    For `train`, a config without type or vocab_size gets them as `AdviseTokenizer` would.
    """

    action: Literal["train", "load", "apply"]
    tokenizer_name: str
    config: dict[str, Any] | None = None
    tokenizer_path: str | None = None
    text_input: str | list[str] | None = None
    hf_pretrained_id: str | None = None


class TokenizerTrained(Message, wire_name="research.tokenizer_trained"):
    """A tokenizer is trained.

    Attributes:
        vocab_size: what training really gave, which a small corpus makes less than asked.
        advice: of which what the config did not say was taken; None where it said all.
    """

    status: Literal["success"] = "success"
    tokenizer_name: str
    tokenizer_path: str
    vocab_size: int
    advice: TokenizerAdvised | None = None


class TokenizerLoaded(Message, wire_name="research.tokenizer_loaded"):
    status: Literal["success"] = "success"
    tokenizer_name: str
    tokenizer_info: dict[str, Any]


class TokenizerApplied(Message, wire_name="research.tokenizer_applied"):
    """`pieces` are the parts of the text that the ids stand for."""

    input_ids: list[list[int]]
    attention_mask: list[list[int]]
    pieces: tuple[tuple[str, ...], ...] = ()


class WriteReport(Message, wire_name="research.write_report"):
    """Write the report of a run.

    Attributes:
        study: of the researcher, whose trials are read from the experiment store.
    """

    content: ReportContent
    study: StudyReport | None = None


class ReportWritten(Message, wire_name="research.report_written"):
    markdown_path: str
    html_path: str
    figures: tuple[str, ...] = ()
