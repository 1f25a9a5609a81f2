"""Hours of ordinary work, and whether anything grows.

python -m tests.reliability.soak --minutes 60
"""
