"""Real data that is too large to lie in the repository.

`GUILDBUS_TEST_DATA` names a folder of it; without the variable the tests that need it are skipped.
What the folder should have and has not fails them.

mnist.npz   the digits of MNIST, as Keras distributes them: x_train, y_train, x_test, y_test
"""

import os
from pathlib import Path

import pytest

VARIABLE = "GUILDBUS_TEST_DATA"

needs_real_data = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"{VARIABLE} names no folder of real data"
)


def real_file(name: str) -> Path:
    """The file of this name in the folder of real data."""
    return Path(os.environ[VARIABLE]) / name
