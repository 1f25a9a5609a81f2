"""The tests of the matrix again and again, until one fails or all rounds are through."""

import argparse
import os
import sys
from pathlib import Path

import pytest

import tests.reliability.fault_matrix
from tests.reliability.fault_matrix.rows import MATRIX
from tests.reliability.workers.patience import SLACK_VARIABLE

REPOSITORY = Path(__file__).parents[3]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability.fault_matrix",
        description=f"{__doc__}\n\n{tests.reliability.fault_matrix.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("-k", dest="rows", default="", help="only tests whose names say this")
    parser.add_argument("--list", action="store_true", help="show the rows and run nothing")
    chosen = parser.parse_args()
    if chosen.list:
        sys.stdout.write(_listed())
        return 0
    os.environ.setdefault(SLACK_VARIABLE, "1")
    for number in range(1, chosen.rounds + 1):
        sys.stderr.write(f"round {number} of {chosen.rounds}\n")
        code = pytest.main([*_tests(), "-q", "-x", "-m", "", "-k", chosen.rows])
        if code != pytest.ExitCode.OK:
            return int(code)
    return 0


def _tests() -> list[str]:
    rows = [row for rows in MATRIX.values() for row in rows]
    return sorted({str(REPOSITORY / test) for row in rows for test in row.named})


def _listed() -> str:
    return "\n".join(
        f"{place}\n{'-' * len(place)}\n" + "".join(f"* {row}\n" for row in rows)
        for place, rows in MATRIX.items()
    )


if __name__ == "__main__":
    sys.exit(main())
