"""The environment of everything behind a fence: none of it is a credential."""

import os
import sys
from pathlib import Path

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def clean_environment(workspace: Path) -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        **passed_on,
        **dict.fromkeys(_ONE_THREAD, "1"),
        "HOME": "/nonexistent",
        "PYTHONPATH": os.pathsep.join(search_path(workspace)),
        # With the workspace on sys.path, a file in it could pose as a module of ours or Python's.
        "PYTHONSAFEPATH": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def search_path(workspace: Path) -> list[str]:
    """The host's own search path, so that children import what the host would."""
    root = Path(__file__).resolve().parents[2]
    entries = [str(root)]
    for entry in sys.path:
        path = Path(entry) if entry else None
        if path and path.is_absolute() and path != workspace and str(path) not in entries:
            entries.append(str(path))
    return entries
