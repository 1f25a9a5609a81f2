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


class Curve(_Part):
    """One line of a plot."""

    label: str
    x: list[float]
    y: list[float]


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
    tokenizer: TokenizerFacts | None = None
    language_model: LanguageModelFacts | None = None
    completion: Completion | None = None

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
