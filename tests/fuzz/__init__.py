"""Bytes that nobody should have written, in front of everything that decodes.

python -m tests.fuzz --examples 200000
"""
