"""Reads topics as an observer, which settles nothing."""
