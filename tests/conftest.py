"""What holds for every test."""

import os

# There are more processes than cores, and threads of OpenMP wait by spinning: two in each process
# take three times the processor time of one. Whatever a test starts inherits it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
