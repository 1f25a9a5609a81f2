"""What came of the inputs."""

from collections import Counter
from dataclasses import dataclass, field

from tests.reliability.workers.orders import lane_of
from tests.reliability.workers.patience import stretched


@dataclass
class Outcome:
    """How often each accepted input came out, and how the workers ended.

    Attributes:
        accepted: numbers of the inputs whose publisher was told that they are stored.
        seen: how often each number lies among the outputs, in the order in which they came.
        took_s: until everything was settled, from the moment that the caller named; None if it
            never was.
        left_pending: what the group is owed or was lent, once the workers had ended.
        exit_codes: of the workers that were asked to end.
        left_behind: worker processes that outlived the scenario.
    """

    accepted: set[int]
    seen: Counter[int]
    took_s: float | None = None
    left_pending: int = 0
    exit_codes: list[int] = field(default_factory=list)
    left_behind: list[int] = field(default_factory=list)

    @property
    def missing(self) -> list[int]:
        return sorted(self.accepted - self.seen.keys())

    @property
    def repeated(self) -> list[int]:
        return sorted(number for number, count in self.seen.items() if count > 1)

    @property
    def overtaken(self) -> list[int]:
        """Those that came out after a later one of their lane."""
        latest = dict[int, int]()
        late = []
        for number in self.seen:
            lane = lane_of(number)
            if number < latest.get(lane, -1):
                late.append(number)
            latest[lane] = max(number, latest.get(lane, -1))
        return late

    @property
    def is_exact(self) -> bool:
        """Each accepted input has exactly one effect: E1."""
        return not self.missing and not self.repeated

    def check(self, *, within_s: float, is_mutant: bool = False) -> None:
        """E1, R(`within_s`), nothing pending, no orphan processes; for a mutant: not E1."""
        assert self.accepted, "nothing was accepted, so nothing was proven"
        assert self.is_exact is not is_mutant, str(self)
        if is_mutant:
            return
        assert self.took_s is not None, str(self)
        assert self.took_s <= stretched(within_s), str(self)
        assert not self.left_pending, str(self)
        assert not any(self.exit_codes), str(self)
        assert not self.left_behind, str(self)

    def __str__(self) -> str:
        settled = "never settled" if self.took_s is None else f"settled after {self.took_s:.1f} s"
        return (
            f"{len(self.accepted):,} accepted, {settled}: {len(self.missing):,} missing "
            f"{self.missing[:5]}, {len(self.repeated):,} repeated {self.repeated[:5]}, "
            f"{self.left_pending:,} left pending, exit codes {self.exit_codes}, "
            f"left behind {self.left_behind}"
        )
