"""Optimizers by name, from a file, or from a registry that survives a restart.

building        an optimizer with parameter groups, chosen by name_patterns
trials          which value of a call is at fault, found by trying
gate            what a custom optimizer must do before it is registered
registry        configurations and classes by name, on disk
"""
