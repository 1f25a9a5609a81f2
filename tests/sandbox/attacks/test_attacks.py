"""Nothing gets out: every attack behind every fence, and as a control behind none.

The attacks run in throw-away namespaces (`stage.py`), all of them in one run of the arena.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.attacks.attack import ATTACKS
from tests.sandbox.attacks.job import run  # noqa: F401  knows all attacks

ROOT = Path(__file__).parents[3]
_REPEATED = 10
_LONG_S = 540  # all of them one after another, on a machine that has much else to do


def long(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.long(pytest.mark.timeout(_LONG_S)(test))


def fight(fence: str, user: str, repeats: int = 1, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the arena tells of the attacks; skips by name where it cannot be set up."""
    arena = [sys.executable, "-P", "-m", "tests.sandbox.attacks.arena", fence, user, str(repeats)]
    done = subprocess.run(
        [*arena, *names],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no word"
        if "cannot be set up" in reason or "NoFenceError" in reason:
            pytest.skip(f"attacks behind {fence} as {user}: {reason}")
        pytest.fail(done.stderr[-3000:])
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def got_out(told: dict[str, Any]) -> dict[str, list[str]]:
    return {name: said["harm"] for name, said in told["attacks"].items() if said["harm"]}


def require_nothing_got_out(told: dict[str, Any]) -> None:
    assert got_out(told) == {}
    assert told["left"] == []


def test_nothing_gets_out_of_the_best_fence() -> None:
    """All attacks but those that take much of the machine, which are repeated below."""
    names = tuple(name for name, attack in ATTACKS.items() if not attack.alone)

    told = fight("auto", "root", names=names)

    assert set(told["attacks"]) == set(names)
    assert len(names) >= 100
    require_nothing_got_out(told)


@long
def test_without_a_fence_every_attack_gets_out() -> None:
    told = fight("control", "root")

    held = {name: said["said"] for name, said in told["attacks"].items() if not said["harm"]}
    assert [name for name, said in held.items() if not said.startswith("unsupported: ")] == []
    assert len(got_out(told)) >= 100


@long
@pytest.mark.parametrize("user", ["root", "user"])
@pytest.mark.parametrize("fence", ["bubblewrap", "namespaces"])
def test_nothing_gets_out_of_any_fence_whoever_starts_it(fence: str, user: str) -> None:
    told = fight(fence, user)

    assert set(told["attacks"]) == set(ATTACKS)
    require_nothing_got_out(told)


@long
@pytest.mark.parametrize("user", ["root", "user"])
@pytest.mark.parametrize("fence", ["bubblewrap", "namespaces"])
def test_races_floods_and_bombs_get_nowhere_ten_times(fence: str, user: str) -> None:
    names = tuple(name for name, attack in ATTACKS.items() if attack.alone)

    require_nothing_got_out(fight(fence, user, _REPEATED, names))
