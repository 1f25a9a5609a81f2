"""`python -m tests.sandbox.attacks.arena FENCE ROOT|USER REPEATS [NAME...]`: attack, and tell.

FENCE may be "control": then the attacks run without any sandbox. All of it happens in throw-away
namespaces, with every folder of the machine covered by an overlay, so that what gets out harms
nothing that is real. Prints one JSON object.
"""

import asyncio
import json
import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any

from agents.sandbox import JobError, JobFailedError, JobProtocolError, JobRunner, SandboxError, View
from tests.sandbox.attacks import stage
from tests.sandbox.attacks.attack import ATTACKS, Attack, Target
from tests.sandbox.attacks.control import Control
from tests.sandbox.attacks.outside import Outside

ROOT = Path(__file__).parents[3]
_AT_ONCE = 4
_RUN_S = 1.2  # how long one that runs away may run
_HEAR_S = 0.1


async def fight(fence: str, repeats: int, names: list[str], secret: str) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(dir=stage.ARENA))
    workspace = folder / "workspace"
    workspace.mkdir()
    outside = Outside(folder, workspace, secret)
    await outside.open()
    chosen = [ATTACKS[name] for name in names or ATTACKS]
    ring = Control(workspace) if fence == "control" else _Fenced(workspace, fence)
    try:
        async with ring:
            told = await _all(ring, outside, chosen, repeats)
    finally:
        await outside.close()
    return {"fence": str(ring), "attacks": told, "left": stage.others()}


async def _all(
    ring: "Control | _Fenced", outside: Outside, chosen: list[Attack], repeats: int
) -> dict[str, Any]:
    told: dict[str, Any] = {}
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(attack: Attack) -> None:
        async with turn:
            told[attack.name] = await _attack(ring, outside, attack)

    await asyncio.gather(*(one(attack) for attack in chosen if not attack.alone))
    for attack in chosen:
        for _ in range(repeats if attack.alone else 0):
            told.setdefault(attack.name, {"harm": []})
            again = await _attack(ring, outside, attack)
            told[attack.name] = {**again, "harm": told[attack.name]["harm"] + again["harm"]}
    return told


async def _attack(ring: "Control | _Fenced", outside: Outside, attack: Attack) -> dict[str, Any]:
    target = outside.target(attack.name, has_victim=attack.has_victim)
    answer, output = await ring.attack(attack, target)
    if "run_away" in attack.name:
        await asyncio.sleep(_RUN_S)
    elif attack.is_heard:
        await asyncio.sleep(_HEAR_S)
    harm = outside.harm(attack.name, answer, output)
    return {"harm": harm, "said": str(answer.get("said", ""))[:200]}


class _Fenced:
    """Attacks run as jobs behind a fence."""

    def __init__(self, workspace: Path, fence: str) -> None:
        self._runner = JobRunner(
            workspace=workspace,
            fence=fence,  # type: ignore[arg-type]  one of its names
            view=View(hidden=(str(workspace / ".guildbus"),), read_only=(str(ROOT / "tests"),)),
            preload=("tests.sandbox.attacks.job",),
            max_jobs=_AT_ONCE,
            grace_s=0.2,
        )

    async def __aenter__(self) -> None:
        await self._runner.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        await self._runner.close()

    def __str__(self) -> str:
        return str(self._runner.fence)

    async def attack(self, attack: Attack, target: Target) -> tuple[dict[str, Any], str]:
        try:
            job = "tests.sandbox.attacks.job:run"
            result = await self._runner.run(job, vars(target), limits=attack.limits)
        except (SandboxError, JobProtocolError):
            raise  # an attack that never began has not been held
        except JobFailedError as error:
            return {"said": str(error)}, error.output
        except JobError as error:
            return {"said": f"{type(error).__name__}: {error}"}, error.output
        return result, ""


def main() -> None:
    fence, user, repeats, *names = sys.argv[1:]
    secret = f"canary-{secrets.token_hex(8)}"
    os.environ["CANARY"] = secret
    try:
        stage.enter(secret, as_root=user == "root")
    except OSError as error:
        raise SystemExit(f"the stage cannot be set up: {error}") from error
    told = asyncio.run(fight(fence, int(repeats), names, secret))
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
