"""What holds for every test."""

import os
import sys

# There are more processes than cores, and threads of OpenMP wait by spinning: two in each process
# take three times the processor time of one. Whatever a test starts inherits it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Images of containers often forbid bytecode. Some hundred processes start here, and each would
# compile all that it imports, which is a third of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
