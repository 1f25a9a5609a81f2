"""What a report says, before anybody decides how it looks."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from agents.research.report.study.content import StudyFindings


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StepTaken(_Part):
    """One step of the run: who did it, how long it took, how it ended."""

    title: str
    agent: str
    status: Literal["done", "failed", "skipped"]
    seconds: float
    error: str = ""


class Standing(_Part):
    """One architecture on the leaderboard; numbers are None when it never got that far.

    Attributes:
        rank: 1 is the best; None for an architecture that failed.
        accuracy: on the validation split after the quick evaluation; so is `f1`, macro averaged.
        flops: two per multiply-accumulate, for one sample.
        seconds: of the quick evaluation's training.
        outcome: "trained" for the one that was trained fully.
    """

    name: str
    rank: int | None = None
    params: int | None = None
    flops: int | None = None
    accuracy: float | None = None
    f1: float | None = None
    seconds: float | None = None
    generated_by: str = ""
    outcome: Literal["evaluated", "trained", "failed"] = "evaluated"
    error: str = ""


class Curve(_Part):
    """One line of a plot."""

    label: str
    x: list[float]
    y: list[float]


class Training(_Part):
    """The full training of the best architecture, with a curve per quantity and split."""

    model: str
    epochs: int
    epochs_asked: int
    best_epoch: int
    stopped_early: bool
    checkpoint: str
    loss: list[Curve]
    accuracy: list[Curve]


class HeldOutTest(_Part):
    """`confusion[i][j]`: how many samples of class i were taken for class j."""

    samples: int
    accuracy: float
    f1: float
    loss: float
    confusion: list[list[int]]
    class_names: list[str]


class TokenizerFacts(_Part):
    """`sample_tokens` are the pieces that `sample_text` falls into."""

    type: str
    vocab_size_asked: int
    vocab_size: int
    corpus_files: int
    corpus_bytes: int
    sample_text: str = ""
    sample_tokens: list[str] = []


class LanguageModelFacts(_Part):
    """Losses are in nats per token; bits per byte compare across tokenizers."""

    params: int
    steps: int
    seconds: float
    val_loss: float
    bits_per_byte: float
    uniform_loss: float
    path: str
    loss: list[Curve]


class Completion(_Part):
    prompt: str
    text: str


class GeneratedFile(_Part):
    """A file of generated code, relative to the workspace."""

    title: str
    path: str


class ReportContent(_Part):
    """Everything that a report says; a part is None when its branch was not asked for or failed.

    Attributes:
        study: what a researcher tried; its findings then come before everything else.
    """

    name: str
    folder: str
    started_at: float
    ended_at: float
    asked: dict[str, Any]
    steps: list[StepTaken]
    study: StudyFindings | None = None
    leaderboard: list[Standing] = []
    dataset: str = ""
    training: Training | None = None
    test: HeldOutTest | None = None
    tokenizer: TokenizerFacts | None = None
    language_model: LanguageModelFacts | None = None
    completion: Completion | None = None
    code: list[GeneratedFile] = []

    @property
    def failures(self) -> list[StepTaken]:
        return [step for step in self.steps if step.status == "failed"]

    @property
    def seconds(self) -> float:
        return self.ended_at - self.started_at


class Machine(_Part):
    """Where the run took place."""

    cores: int
    memory_bytes: int
    processor: str
    system: str
    python: str
    torch: str
