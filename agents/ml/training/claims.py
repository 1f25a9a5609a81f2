"""What a process that runs a model's code says of its own work: read strictly, told as its own."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from agents.ml.data.dataset import TaskKind
from agents.ml.errors import ScoringError

_Text = Annotated[str, StringConstraints(max_length=8000)]
_Count = Annotated[int, Field(ge=0, le=2**53)]  # what JSON's other readers keep exact
_Number = Annotated[float, Field(allow_inf_nan=False)]


class Claims(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class EpochClaims(Claims):
    """Of an epoch, with what it asks to be scored; `member` says whose, in a population."""

    member: _Count = 0
    epoch: _Count
    step: _Count
    train_loss: _Number
    lr: _Number
    seconds: _Number
    samples_per_s: _Number


class ComputeClaims(Claims):
    """How the model was run, and the seconds of a step in each way that was tried."""

    precision: Literal["fp32", "bf16"]
    layout: Literal["contiguous", "channels_last"]
    step_s: dict[_Text, _Number] = Field(max_length=8)


class RunClaims(Claims):
    """Of a whole run."""

    status: Literal["completed", "diverged"]
    steps_run: _Count
    diverged_at_step: _Count | None
    resumed_from_step: _Count = 0
    params: _Count
    train_samples: _Count
    seconds: _Number
    samples_per_s: _Number
    device: _Text
    compute: ComputeClaims
    warnings: list[_Text] = Field(max_length=1000)


class MemberClaims(RunClaims):
    """Of the run of one member of a population."""

    stacked: bool


class HandoutClaims(Claims):
    """Of a handout; what it is made of is read by the process that trains."""

    model_config = ConfigDict(extra="allow")

    train: dict[str, Any] = {}


class MaterialClaims(Claims):
    """Of samples that a script of the user's made, and of the file with their targets."""

    handout: HandoutClaims
    dtype: _Text
    shape: list[Annotated[int, Field(ge=1, le=2**53)]]


class MeasureClaims(Claims):
    """Of a measurement."""

    device: _Text
    warnings: list[_Text] = Field(max_length=1000)


def claims(kind: type[Claims], said: object, *, of: str) -> dict[str, Any]:
    """Return what `kind` has of what was said, checked.

    Raises:
        ScoringError: `of` said something else.
    """
    try:
        return kind.model_validate(said).model_dump()
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, each["loc"])) or "all of it" for each in error.errors())
        text = f"its process gave no account of its work ({wrong} missing or wrong)"
        raise ScoringError(text, where=of) from error


def self_reported(kind: type[Claims], task: TaskKind) -> list[str]:
    """Return the keys of a result that are told as the model's process said them.

    A model that reads ahead scores well on text, because the inputs hold the targets: so all of
    its scores are its own.
    """
    epochs = ["train_loss", "lr"] if issubclass(kind, RunClaims) else []
    scores = ["metrics", "history", "final_evaluation"] if task == "causal_lm" else []
    return sorted([*kind.model_fields, *epochs, *scores])
