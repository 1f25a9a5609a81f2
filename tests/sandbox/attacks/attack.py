"""An attack: a function that tries to get out, and what would show that it did.

It runs as a job with a `Target` that lies outside, and again as the control, in a plain process
with no sandbox at all, where it must succeed. What it returns is evidence: text that holds the
target's secret, or true where it has done what no job may. Whatever else changed outside is seen
there. An `Unsupported` tells that this kernel has nothing to attack.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.sandbox import Limits

KEYS_OF_ROOT = Path("/", "root", ".ssh")


class Unsupported(Exception):  # noqa: N818  no error
    """This machine lacks what the attack is about."""


@dataclass(frozen=True)
class Target:
    """What an attack aims at; made for it alone.

    Attributes:
        name: of the attack; sent, written or shown to prove a success.
        folder: outside the workspace.
        secret: a file in it.
        file: another, to be changed.
        unix, abstract, port: where somebody listens, at 127.0.0.1, ::1 and 169.254.169.254.
        shm_key: of a System V segment that holds the secret.
    """

    name: str
    folder: str
    secret: str
    file: str
    unix: str
    abstract: str
    port: int
    shm_key: int


@dataclass(frozen=True)
class Attack:
    name: str
    run: Callable[[Target], Any]
    limits: Limits = field(default_factory=Limits)
    alone: bool = False

    @property
    def has_victim(self) -> bool:
        """Whether it is about a process outside."""
        return self._module == "on_processes"

    @property
    def is_heard(self) -> bool:
        """Whether it reaches those who listen, a moment later."""
        return self.name.startswith(("reach_", "send_"))

    @property
    def _module(self) -> str:
        return str(getattr(self.run, "__module__", "")).rpartition(".")[2]


ATTACKS: dict[str, Attack] = {}


def attack(
    *, alone: bool = False, **limits: Any
) -> Callable[[Callable[[Target], Any]], Callable[[Target], Any]]:
    """Add a function to the attacks; those that take much run alone."""

    def add(function: Callable[[Target], Any]) -> Callable[[Target], Any]:
        add_attack(function.__name__, function, alone=alone, **limits)
        return function

    return add


def add_attack(
    name: str, run: Callable[[Target], Any], *, alone: bool = False, **limits: Any
) -> None:
    allowed = {"time_s": 10.0, "tmp_bytes": 16 << 20, "tmp_files": 2000, **limits}
    assert name not in ATTACKS
    ATTACKS[name] = Attack(name, run, Limits(**allowed), alone)
