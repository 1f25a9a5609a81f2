"""Optimizers from parts: what is asked for, the rule that was chosen, and its source.

A language model that is too small to write an optimizer can still choose among parts that fit
together whichever it takes.
"""
