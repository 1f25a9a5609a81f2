"""Real worker processes on a real server, and the outcome of their work.

`Scenario` publishes numbered inputs, has worker processes answer each with an output, and counts
the outputs in the end. What the storm and the fault matrix have in common.
"""
