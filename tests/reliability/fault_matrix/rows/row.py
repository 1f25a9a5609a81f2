"""What a row of the fault matrix says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Row:
    """A fault that must not matter, and what shows that it does not.

    Attributes:
        fault: what happens.
        criterion: what holds all the same; `tests.reliability.fault_matrix` says what E1, R(x) and
            clean are.
        tests: in which the fault happens and the criterion is checked, by their ids for pytest.
        mutants: `plain` or names in tests/reliability/workers/mutants.py: workers with which
            `tests` run as well, and the damage that has to be found in each.
        own_mutants: what tests of the row take away from the bus by themselves, and the damage.
        seen_failing: further tests, which break what keeps the promise and see the damage.
    """

    fault: str
    criterion: str
    tests: tuple[str, ...]
    mutants: Mapping[str, str] = field(default_factory=dict)
    own_mutants: str = ""
    seen_failing: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """All tests of the row."""
        return self.tests + self.seen_failing

    def __str__(self) -> str:
        return "\n    ".join([f"{self.fault}: {self.criterion}", *self._proofs()])

    def _proofs(self) -> Iterator[str]:
        yield from self.tests
        for name, damage in self.mutants.items():
            yield f"mutant {name}: {damage}"
        if self.own_mutants:
            yield f"mutant: {self.own_mutants}"
        for test in self.seen_failing:
            yield f"can fail: {test}"
