"""The matrix again and again, until a row fails or all rounds are through."""

import argparse
import os
import sys
from pathlib import Path

import pytest

import tests.reliability.fault_matrix
from tests.reliability.workers.patience import SLACK_VARIABLE


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability.fault_matrix",
        description=f"{__doc__}\n\n{tests.reliability.fault_matrix.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("-k", dest="rows", default="", help="only tests whose names say this")
    chosen = parser.parse_args()
    os.environ.setdefault(SLACK_VARIABLE, "1")
    for number in range(1, chosen.rounds + 1):
        sys.stderr.write(f"round {number} of {chosen.rounds}\n")
        code = pytest.main([str(Path(__file__).parent), "-q", "-x", "-k", chosen.rows])
        if code != pytest.ExitCode.OK:
            return int(code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
