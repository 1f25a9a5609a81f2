"""Bytes that nobody should have written, in front of everything that decodes.

python -m tests.reliability.fuzz --examples 200000
"""
