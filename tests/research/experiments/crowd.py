"""Several processes that open one new store at the same moment and write the same trials."""

import os
import sys
from pathlib import Path

from agents.research.experiments import ExperimentStore
from tests.research.experiments.samples import done, trial

PROCESSES, OWN, SHARED = 4, 4, 4


def main(path: Path) -> int:
    gate, starter = os.pipe()
    children = []
    for number in range(PROCESSES):
        child = os.fork()
        if child == 0:
            os.close(starter)
            os.read(gate, 1)  # ends when the parent closes its end
            os._exit(_work(path, number))
        children.append(child)
    os.close(starter)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


def _work(path: Path, number: int) -> int:
    with ExperimentStore(path, wait_s=60.0) as store:
        for width in range(1, OWN + 1):
            done(store, trial(width, seed=number, study=f"own {number}"), 0.5)
        for width in range(1, SHARED + 1):
            done(store, trial(width, study="shared"), 0.5, cost_s=1.0)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
