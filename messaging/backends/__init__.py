"""Stores that keep the promises of `messaging.backend`."""
