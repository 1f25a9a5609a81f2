"""Optimizers by name: configurations, and classes that a language model writes."""
