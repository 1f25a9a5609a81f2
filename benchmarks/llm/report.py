"""Figures beside the goals that were set for them."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Goal:
    """At least or at most so much."""

    sign: str
    bound: float

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"

    def is_met_by(self, value: float) -> bool:
        return value >= self.bound if self.sign == "≥" else value <= self.bound


def at_least(bound: float) -> Goal:
    return Goal("≥", bound)


def at_most(bound: float) -> Goal:
    return Goal("≤", bound)


@dataclass(frozen=True)
class Row:
    """A figure; None where it could not be had, and then the note says why."""

    name: str
    value: float | None
    unit: str
    goal: Goal | None
    note: str

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        if self.value is None:
            return "not measured"
        return "met" if self.goal.is_met_by(self.value) else "MISSED"

    def __str__(self) -> str:
        value = "-" if self.value is None else f"{self.value:.3g}"
        goal = "" if self.goal is None else str(self.goal)
        return f"| {self.name} | {value} {self.unit} | {goal} | {self.verdict} | {self.note} |"


HEAD = "| figure | measured | goal | | |\n|---|--:|--:|---|---|"


@dataclass
class Report:
    """The rows of a run, printed as they come."""

    rows: list[Row] = field(default_factory=list)

    def begin(self) -> None:
        print(HEAD, flush=True)

    def add(
        self,
        name: str,
        value: float | None,
        goal: Goal | None = None,
        *,
        unit: str = "x",
        note: str = "",
    ) -> None:
        self.rows.append(Row(name, value, unit, goal, note))
        print(self.rows[-1], flush=True)

    def sums_up(self) -> str:
        """Which goals were met, and which were not."""
        verdicts = [row.verdict for row in self.rows]
        text = f"{verdicts.count('met')} goals met, {verdicts.count('MISSED')} missed"
        missed = [row.name for row in self.rows if row.verdict in {"MISSED", "not measured"}]
        return f"{text}: {'; '.join(missed)}" if missed else text
