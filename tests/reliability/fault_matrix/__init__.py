"""The faults that must not matter, each with its tests, its criterion and its mutants.

The rows are in tests/reliability/fault_matrix/rows. Real worker processes
(tests/reliability/workers) answer numbered inputs on a real server while something happens to them,
and the outputs are counted: the outcome. The criteria:

E1      each accepted input has exactly one committed effect
R(x)    everything is settled at most x s after the fault has ended, with a lease of 2 s
clean   nothing is left pending, every worker that was asked to end did so with status 0, and no
        process outlives the scenario

The tests of a row also run with a mutant (tests/reliability/workers/mutants.py) in whose
outcome the damage has to be found (`make test-long`); or a further test sees the check of the row
fail.

python -m tests.reliability.fault_matrix --rounds 20 repeats it all; -k repeats some of it; --list
shows the rows.
"""
