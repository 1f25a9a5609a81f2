"""How much longer than promised a thing may take where a whole suite shares the machine.

`python -m tests.reliability.fault_matrix`, which runs alone, takes the promises by their word.
"""

import os

SLACK_VARIABLE = "MATRIX_SLACK"


def stretched(promised_s: float) -> float:
    """The seconds that a test grants."""
    return promised_s * float(os.environ.get(SLACK_VARIABLE, "3"))
