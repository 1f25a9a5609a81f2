"""A run: a language model and a study side by side, in one folder with one report.

messages   what a run is asked for and what it answers
plan       its state, and what follows from that
findings   from what its steps answered to what its report says

The agent is `agents.research.coordinator`.
"""
