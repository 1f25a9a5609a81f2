"""One try: what was tried, why, and what came of it."""

import json
import math
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from agents.research.experiments.worker import is_gone

Kind = Literal["quick", "full", "baseline", "ensemble", "test"]
Status = Literal["planned", "running", "done", "diverged", "failed", "interrupted"]

ENDED: frozenset[Status] = frozenset({"done", "diverged", "failed", "interrupted"})
_ID_CHARS = 16
_MAX_SEED = 2**63 - 1
_LARGEST_SCORE = 1e150  # the square of a larger one is no number


def plain(config: dict[str, Any]) -> dict[str, Any]:
    """`config` as it comes back from JSON.

    Raises:
        ValueError: it holds something that JSON has no word for, such as NaN.
    """
    try:
        text = json.dumps(config, allow_nan=False, ensure_ascii=False)
    except TypeError as error:
        raise ValueError(f"config must be JSON: {error}") from error
    parsed: dict[str, Any] = json.loads(_speakable(text))
    return parsed


def _speakable(text: str) -> str:
    """`text` without half characters, which no file holds: names and outputs of jobs have them."""
    return text.encode("utf-8", "replace").decode()


Text = Annotated[str, BeforeValidator(_speakable)]


class Trial(BaseModel):
    """A configuration with one seed, from the plan to the outcome.

    Attributes:
        parent: the trial that this one changes; None begins a tree.
        proposer: what thought of it: "seed", "search", "llm", "baseline", "user", …
        config: everything that decides the outcome but the seed; plain JSON.
        fingerprint: of config and code. In one study, the same fingerprint, seed and kind are the
            same trial, and have the same id.
        code: the model's source, "" where there is no code.
        metrics: by name; one that is not finite is kept, and ranks nowhere.
        cost_s: what it took, failed and interrupted attempts included; so are the tokens.
        note: why it was tried.
        created_at, started_at, ended_at: Unix time.
        artifacts: its folder, relative to the workspace; "" when there is none.
        worker: the process that started it last.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    study: str = Field(min_length=1)
    parent: str | None = None
    kind: Kind
    proposer: Text = "user"
    config: Annotated[dict[str, Any], AfterValidator(plain)]
    fingerprint: str
    code: Text = ""
    seed: int = Field(default=0, ge=0, le=_MAX_SEED)
    status: Status = "planned"
    metrics: dict[str, float] = {}
    cost_s: float = 0.0
    tokens: int = 0
    error: Text = ""
    note: Text = ""
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    artifacts: Text = ""
    worker: str = ""

    @classmethod
    def new(
        cls,
        *,
        study: str,
        kind: Kind,
        config: Mapping[str, Any],
        code: str = "",
        seed: int = 0,
        parent: str | None = None,
        proposer: str = "user",
        note: str = "",
        created_at: float | None = None,
    ) -> "Trial":
        """A trial to be planned; its id follows from study, kind, config, code and seed."""
        fingerprint = fingerprint_of(config, code)
        name = f"{study}\0{kind}\0{fingerprint}\0{seed}"
        return cls(
            id=sha256(name.encode()).hexdigest()[:_ID_CHARS],
            study=study,
            parent=parent,
            kind=kind,
            proposer=proposer,
            config=dict(config),
            fingerprint=fingerprint,
            code=code,
            seed=seed,
            note=note,
            created_at=time.time() if created_at is None else created_at,
        )

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def is_settled(self) -> bool:
        """Whether there is an outcome that stays, unless the trial is started again."""
        return self.status in ("done", "diverged", "failed")

    @property
    def is_abandoned(self) -> bool:
        """Whether it counts as running, and the process that started it has ended."""
        return self.status == "running" and is_gone(self.worker)

    @property
    def state(self) -> Status:
        """The status as it is now: nothing runs whose process has ended."""
        return "interrupted" if self.is_abandoned else self.status

    @property
    def outcome(self) -> str:
        """What came of it in one line; the same for the same, where metrics are NaN, too."""
        reason = f" ({self.error})" if self.error else ""
        return f"{self.status} {json.dumps(self.metrics, sort_keys=True)}{reason}"

    def score(self, metric: str) -> float | None:
        """The metric of a trial that is done; None where it has no finite one."""
        value = self.metrics.get(metric, math.nan) if self.status == "done" else math.nan
        return value if abs(value) <= _LARGEST_SCORE else None


def fingerprint_of(config: Mapping[str, Any], code: str = "") -> str:
    """Hash what decides an outcome.

    The order of keys, `1.0` for `1` and the kind of line ends make no difference.
    """
    lines = code.replace("\r\n", "\n").replace("\r", "\n")
    content = {"config": _canonical(plain(dict(config))), "code": lines}
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    return value
