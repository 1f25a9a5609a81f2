"""What a researcher is asked and answers, and what it asks of those who train and measure."""

from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.ml.selection.facts import Facts
from agents.research.researcher.budget import Budget
from agents.research.researcher.finding import Finding, TestScore
from messaging.wire.message import Message

if TYPE_CHECKING:
    from rich.console import RenderableType

StudyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_\-]{0,63}$")]
Proposer = Literal["random", "search", "tpe", "llm"]


class StudyRequest(Message, wire_name="research.study"):
    """Ask for the best model that a budget allows. Asking again goes on, or answers at once.

    Attributes:
        name: of the study and of its folder.
        runs_dir: where the folders lie, relative to the workspace.
        proposers: who says what to try; several share the trials by what they found before.
        parallel: trials at once.
        max_samples: to learn from, of larger data.
        split: how test data without an official choice are chosen, and how folds are dealt.
        seed: of everything by chance.
    """

    name: StudyName = "first"
    runs_dir: str = "runs"
    dataset: str = "digits"
    dataset_params: dict[str, Any] = Field(default={})
    budget: Budget = Budget()
    proposers: tuple[Proposer, ...] = Field(default=("search",), min_length=1)
    parallel: Annotated[int, Field(ge=1, le=64)] = 2
    folds: Annotated[int, Field(ge=2, le=10)] = 5
    max_samples: Annotated[int, Field(ge=10)] = 10_000
    split: Annotated[int, Field(ge=0)] = 0
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def folder(self) -> str:
        return f"{self.runs_dir}/{self.name}"

    @property
    def conversation(self) -> str:
        """The conversation to ask in, so that a second request sees what the first one caused."""
        return sha256(f"research study {self.name}".encode()).hexdigest()[:32]


class StudyReport(Message, wire_name="research.study_report"):
    """What a study found.

    Attributes:
        chosen: the name of what is believed to be best, by the folds.
        tests: of what was chosen, and of the best classical model beside it.
        record: the id in the experiment store of a trial of what was chosen.
        verdict: whether it was worth its while, in words.
    """

    name: str
    folder: str
    chosen: str
    record: str
    members: dict[str, float]
    findings: tuple[Finding, ...]
    tests: tuple[TestScore, ...]
    verdict: str
    trials: int
    failures: tuple[str, ...] = ()
    seconds: float
    tokens: int
    markdown_path: str = ""
    html_path: str = ""

    def __rich__(self) -> "RenderableType":
        from agents.research.researcher.terminal import render  # noqa: PLC0415  rich only if shown

        return render(self)


class Tried(BaseModel):
    """A recipe with the accuracy that it had."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: dict[str, Any]
    accuracy: float


class ProposeRecipe(Message, wire_name="research.propose_recipe"):
    """Have a language model say what to try next.

    Attributes:
        tried: what was measured, the best first.
        seed: of the draw, and of what it leaves open.
    """

    facts: Facts
    tried: tuple[Tried, ...]
    seed: int


class RecipeProposed(Message, wire_name="research.recipe_proposed"):
    """What all answers cost, those that did not pass too, is in `tokens` and `seconds`."""

    recipe: dict[str, Any]
    tokens: int
    attempts: int
    seconds: float = 0.0  # studies that were stored before it was told


class DealData(Message, wire_name="research.deal_data"):
    """Split a dataset for a study; see `dealing.deal`."""

    data: str
    dataset: str
    dataset_params: dict[str, Any]
    folds: int
    max_samples: int
    max_test_samples: int
    split: int


class DataDealt(Message, wire_name="research.data_dealt"):
    facts: Facts


class RunTrial(Message, wire_name="research.run_trial"):
    """Train a candidate without one fold and score it on that; see `trial_job.run_trial`.

    Attributes:
        data: the study's folder of data.
        trial: by what its predictions are known later; a trial that was run is not run again.
        timeout_s: after so long it ends without a result.
        record: its id in the experiment store, under which what it measures is shown as it runs.
    """

    data: str
    trial: str
    script: str
    class_name: str
    training: dict[str, Any]
    fold: int
    seed: int
    tokenizer: str | None = None
    length: int | None = None
    timeout_s: float | None = None
    record: str = Field(default="", pattern="^[0-9a-f]{0,64}$")


class TrialRun(Message, wire_name="research.trial_run"):
    """How a trial ended; a diverged one has no metrics."""

    status: Literal["done", "diverged"]
    metrics: dict[str, float] = Field(default={})
    params: int
    steps: int
    curve: list[tuple[float, float]] = Field(default=[])
    cpu_s: float


class FitBaseline(Message, wire_name="research.fit_baseline"):
    """Fit a classical model on all folds; see `baselines.fit_baseline`."""

    data: str
    trial: str
    model: str
    seed: int
    timeout_s: float | None = None


class BaselineFitted(Message, wire_name="research.baseline_fitted"):
    metrics: dict[str, float]
    per_fold: list[dict[str, float]]
    cpu_s: float


class BlendModels(Message, wire_name="research.blend"):
    """Choose an ensemble out of candidates, each with its trials; see `blending.blend`."""

    data: str
    candidates: dict[str, list[str]]


class ModelsBlended(Message, wire_name="research.blended"):
    weights: dict[str, float]
    sharpness: dict[str, float]
    metrics: dict[str, float]
    per_fold: list[dict[str, float]]


class Contestant(BaseModel):
    """Trials in groups whose predictions are averaged, and the weight of each group.

    Attributes:
        sharpness: by how much the predictions of a group are sharpened first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: list[list[str]]
    weights: list[float]
    sharpness: list[float]


class OpenTest(Message, wire_name="research.open_test"):
    """Score contestants on the held-out test, once; see `blending.open_test`."""

    data: str
    contestants: dict[str, Contestant]


class TestOpened(Message, wire_name="research.test_opened"):
    __test__ = False  # pytest: no tests in here

    scores: tuple[TestScore, ...]
