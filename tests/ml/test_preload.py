import subprocess
import sys

import pytest


@pytest.mark.long
def test_what_is_warm_before_the_fork_starts_no_threads() -> None:
    code = (
        "import os, sys, agents.ml.preload\n"
        "print(len(os.listdir('/proc/self/task')), 'sympy' in sys.modules)"
    )

    printed = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ".", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert printed.stdout == "1 True\n"
