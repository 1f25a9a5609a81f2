"""What a run is asked for and what it answers."""

from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agents.research.researcher.budget import Budget
from agents.research.researcher.messages import Proposer, StudyName, StudyReport
from messaging.wire.message import Message

if TYPE_CHECKING:
    from rich.console import RenderableType

Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TextStudy(_Part):
    """A tokenizer and a small Phi, learned from Python's standard library.

    Attributes:
        corpus_bytes: how much of the sources is read.
        max_steps: of training the language model.
        prompt: what the finished model goes on with.
        sample: what the report shows the tokenizer's work on.
    """

    corpus_bytes: Count = 2_000_000
    vocab_size: Annotated[int, Field(ge=64)] = 2048
    hidden_size: Count = 128
    layers: Count = 2
    heads: Count = 4
    context_length: Annotated[int, Field(ge=2)] = 128
    batch_size: Count = 8
    max_steps: Count = 400
    learning_rate: Annotated[float, Field(gt=0)] = 4e-3
    seed: Annotated[int, Field(ge=0)] = 0
    prompt: Annotated[str, Field(min_length=1)] = "def __init__(self, "
    sample: Annotated[str, Field(min_length=1)] = (
        "def parse_header(line, *, strict=False):\n"
        "    name, _, value = line.partition(':')\n"
        "    return name.strip().lower(), value.strip()\n"
    )


class SearchStudy(_Part):
    """What the researcher is to find the best model for; see `StudyRequest`."""

    dataset: str = "digits"
    dataset_params: dict[str, Any] = Field(default={})
    budget: Budget = Budget(seconds=45.0)
    proposers: tuple[Proposer, ...] = Field(default=("search",), min_length=1)
    parallel: Annotated[int, Field(ge=1, le=64)] = 2
    folds: Annotated[int, Field(ge=2, le=10)] = 5
    seed: Annotated[int, Field(ge=0)] = 0


class ResearchRequest(Message, wire_name="research.request", version=2):
    """Ask for a run. Asking again under the same name goes on with it, or answers at once.

    Attributes:
        name: of the run and of its folder.
        runs_dir: where the folders of runs lie, relative to the workspace.
        text: None leaves the language model out.
        search: what the researcher looks for by itself; None leaves it out.
    """

    name: StudyName = "first"
    runs_dir: str = "runs"
    text: TextStudy | None = TextStudy()
    search: SearchStudy | None = SearchStudy()

    @model_validator(mode="after")
    def _asks_for_something(self) -> "ResearchRequest":
        if self.text is None and self.search is None:
            raise ValueError("a run without text and search has nothing to do")
        return self

    @property
    def folder(self) -> str:
        return f"{self.runs_dir}/{self.name}"

    @property
    def conversation(self) -> str:
        """The conversation to ask in, so that a second request sees what the first one caused."""
        return sha256(f"research run {self.name}".encode()).hexdigest()[:32]


@ResearchRequest.upcast(from_version=1)
def _without_images(data: dict[str, Any]) -> dict[str, Any]:
    """A run may no longer compare given architectures; one that asks for it is refused by name."""
    if data.get("images") is None:
        data.pop("images", None)
    return data


class ResearchReport(Message, wire_name="research.report"):
    """What a finished run found, and where the full report lies.

    Attributes:
        failures: each failed step with its error.
        bits_per_byte: of the language model on validation text.
        completion: how the language model went on with the prompt, which it includes.
        study: what the researcher found.
    """

    name: str
    folder: str
    markdown_path: str
    html_path: str
    seconds: float
    bits_per_byte: float | None = None
    completion: str = ""
    study: StudyReport | None = None
    failures: tuple[str, ...] = ()

    def __rich__(self) -> "RenderableType":
        from rich.console import Group  # noqa: PLC0415  rich only if shown

        from agents.research.report.terminal import render  # noqa: PLC0415

        return Group(self.study, render(self)) if self.study else render(self)
