"""The faults that must not matter, each with its test, its pass criterion and a mutant.

Real worker processes (tests/crew) answer numbered inputs on a real server while something happens
to them, and an account of the outputs is drawn. The criteria:

E1      each accepted input has exactly one committed effect
R(x)    everything is settled at most x s after the fault has ended, with a lease of 2 s
clean   nothing is left pending, every worker that was asked to end did so with status 0, and no
        process outlives its crew

Each row also runs with a mutant (tests/crew/mutants.py) in which the account has to find the
damage; where no mutant makes sense, the row says what shows that its check can fail. Tests are
named by their files below tests/matrix, or below tests/ where they are at home elsewhere.

process
-------
* kill -9 after read, in the handler, before the commit, after sending it, after it: E1, R(5), clean
    test_process.py::test_a_worker_that_is_killed
    mutants: early-ack loses inputs; after sending it, plain repeats one

Redis
-----

network
-------

messages
--------

load
----

shutdown
--------

time
----
"""
